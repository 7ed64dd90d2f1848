//! The probe: is there a graphics processor for the shaders? Only Vulkan is asked. Egui draws by OpenGL in the same process, and
//! two users of EGL get in each other's way.

use std::fmt;

use wgpu::DeviceType;

/// A processor that the shaders can run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    name: String,
    /// It is this computer's own processor, with software that draws.
    software: bool,
}

impl Gpu {
    /// Its driver's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is no graphics processor but software.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.software
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.name)
    }
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    /// No driver offers Vulkan, or the library that finds drivers (`libvulkan1`) is missing.
    #[error("no graphics driver here offers Vulkan, which filters need")]
    NoVulkan,
    /// There are drivers, but none is known to be of a graphics processor.
    #[error("filters need a graphics processor, and Vulkan has only {0} here")]
    OnlySoftware(String),
}

/// Looks for a graphics processor; with `allow_software`, for software that takes its place if there is none. It is slow, and
/// right for tests only. Takes some tenths of a second the first time, as drivers are loaded.
///
/// # Errors
/// There is none.
pub fn find(allow_software: bool) -> Result<Gpu, NoGpu> {
    let adapters = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::VULKAN));
    let infos = adapters.iter().map(wgpu::Adapter::get_info).map(|info| (info.name, info.device_type));
    choose(&infos.collect::<Vec<_>>(), allow_software)
}

pub(super) fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

impl Gpu {
    /// Its adapter.
    pub(super) fn adapter(&self, instance: &wgpu::Instance) -> Option<wgpu::Adapter> {
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        adapters.into_iter().find(|adapter| adapter.get_info().name == self.name)
    }
}

fn choose(adapters: &[(String, DeviceType)], allow_software: bool) -> Result<Gpu, NoGpu> {
    // One that is part of the processor is enough, and doesn't wake the one that makes a laptop hot.
    let by_rank = [DeviceType::IntegratedGpu, DeviceType::DiscreteGpu, DeviceType::VirtualGpu];
    let of = |wanted: DeviceType| adapters.iter().find(|(_, device_type)| *device_type == wanted);
    if let Some((name, _)) = by_rank.into_iter().find_map(of) {
        return Ok(Gpu { name: name.clone(), software: false });
    }
    match of(DeviceType::Cpu) {
        Some((name, _)) if allow_software => Ok(Gpu { name: name.clone(), software: true }),
        _ => Err(adapters.first().map_or(NoGpu::NoVulkan, |(name, _)| NoGpu::OnlySoftware(name.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graphics_processor_is_chosen_before_software() {
        let adapter = |name: &str, device_type| (name.to_owned(), device_type);
        let software = adapter("llvmpipe", DeviceType::Cpu);
        let large = adapter("large", DeviceType::DiscreteGpu);
        let small = adapter("small", DeviceType::IntegratedGpu);
        let chosen = |adapters: &[(String, DeviceType)], allowed| choose(adapters, allowed);
        let gpu = |name: &str, software| Ok(Gpu { name: name.to_owned(), software });

        assert_eq!(chosen(&[software.clone(), large.clone(), small], true), gpu("small", false));
        assert_eq!(chosen(&[software.clone(), large], false), gpu("large", false));
        assert_eq!(chosen(std::slice::from_ref(&software), true), gpu("llvmpipe", true));
        assert_eq!(chosen(&[software], false), Err(NoGpu::OnlySoftware("llvmpipe".into())));
        assert_eq!(chosen(&[adapter("odd", DeviceType::Other)], true), Err(NoGpu::OnlySoftware("odd".into())));
        assert_eq!(chosen(&[], true), Err(NoGpu::NoVulkan));
    }
}
