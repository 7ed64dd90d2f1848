//! The shaders on a window of their own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use machine::console::{Frame, Rect};
use parking_lot::Mutex;
use wgpu::{CurrentSurfaceTexture, SurfaceTexture};

use super::{
    Filter, RenderError, Renderer,
    drawing::Drawing,
    gpu::{self, Gpu},
};
use crate::scale::Placement;

/// How long a driver may say that the window has changed, before it is taken for unable to draw to it.
const SETTLES: Duration = Duration::from_secs(5);

/// Draws with shaders to a window.
pub struct ShaderRenderer {
    surface: wgpu::Surface<'static>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    configuration: wgpu::SurfaceConfiguration,
    /// The surface isn't configured for the window as it is now.
    changed: bool,
    /// Since when no picture could be shown because of that.
    unsettled: Option<Instant>,
    drawing: Drawing,
    /// What the driver said when something went wrong.
    trouble: Arc<Mutex<Option<String>>>,
}

impl ShaderRenderer {
    /// Draws with `filter` to `window`, of `size` in pixels of the screen, on the processor that was found. Nobody else draws to
    /// that window.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new<W>(window: W, size: (u32, u32), gpu: &Gpu, filter: Filter) -> Result<Self, RenderError>
    where
        W: wgpu::DisplayAndWindowHandle + 'static,
    {
        let refused = |why: &str| RenderError::Refused(why.to_owned());
        let instance = gpu::instance();
        let surface = instance.create_surface(window).map_err(|error| refused(&error.to_string()))?;
        let adapter = gpu.adapter(&instance).ok_or_else(|| refused(&format!("{gpu} is gone")))?;
        if !adapter.is_surface_supported(&surface) {
            return Err(refused(&format!("{gpu} can't show pictures on this display")));
        }
        let wanted = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..wgpu::DeviceDescriptor::default() };
        let device = pollster::block_on(adapter.request_device(&wanted));
        let (device, queue) = device.map_err(|error| refused(&error.to_string()))?;
        let trouble = Arc::new(Mutex::new(None));
        let (errors, losses) = (trouble.clone(), trouble.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            errors.lock().get_or_insert(error.to_string());
        }));
        device.set_device_lost_callback(move |_, message| {
            losses.lock().get_or_insert(message);
        });
        let formats = surface.get_capabilities(&adapter).formats;
        // The shaders give light, and the surface is to make of it what screens take.
        let format = formats.into_iter().find(wgpu::TextureFormat::is_srgb);
        let format = format.ok_or_else(|| refused("the surface takes no sRGB"))?;
        let configuration = surface.get_default_config(&adapter, size.0.max(1), size.1.max(1));
        let configuration = configuration.ok_or_else(|| refused("the surface can't be set up"))?;
        let configuration =
            wgpu::SurfaceConfiguration { format, present_mode: wgpu::PresentMode::AutoVsync, ..configuration };
        let drawing = Drawing::new(&device, &queue, format, filter);
        let changed = true;
        Ok(ShaderRenderer { surface, device, queue, configuration, changed, unsettled: None, drawing, trouble })
    }

    /// The window has another size now. One without pixels is not drawn to.
    pub fn resize(&mut self, size: (u32, u32)) {
        if size != self.size() {
            (self.configuration.width, self.configuration.height) = size;
            self.changed = true;
        }
    }

    /// The window's size, in pixels of the screen.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.configuration.width, self.configuration.height)
    }

    /// Whether the last picture could not be shown because the window was changing: it is to be drawn again.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.unsettled.is_some()
    }

    /// Draws with another filter from now on.
    pub fn set_filter(&mut self, filter: Filter) {
        self.drawing.set_filter(filter);
    }

    /// Shows a small picture over the guest's from now on, pixel by pixel and low in the middle; or none.
    pub fn set_note(&mut self, note: Option<&Frame>) {
        self.drawing.set_note(note);
    }

    /// What to draw to, if the window can take a picture now.
    ///
    /// It is asked for once: how large the window is now, which may be what the surface lacks, the event loop finds out. Trying
    /// again from here could go on without end.
    fn target(&mut self) -> Option<SurfaceTexture> {
        if std::mem::take(&mut self.changed) {
            self.surface.configure(&self.device, &self.configuration);
            if self.trouble.lock().is_some() {
                return None;
            }
        }
        match self.surface.get_current_texture() {
            CurrentSurfaceTexture::Success(texture) => {
                self.unsettled = None;
                Some(texture)
            }
            CurrentSurfaceTexture::Suboptimal(texture) => {
                self.changed = true;
                self.unsettled = None;
                Some(texture)
            }
            CurrentSurfaceTexture::Outdated | CurrentSurfaceTexture::Lost => {
                self.changed = true;
                self.unsettled.get_or_insert_with(Instant::now);
                None
            }
            // Nobody sees it, or what went wrong was told already.
            CurrentSurfaceTexture::Occluded | CurrentSurfaceTexture::Timeout | CurrentSurfaceTexture::Validation => {
                None
            }
        }
    }
}

impl Renderer for ShaderRenderer {
    /// Its window.
    type Target<'t> = ();

    fn update(&mut self, frame: &Frame, damage: &[Rect], placement: Option<Placement>) {
        self.drawing.update(frame, damage, placement);
    }

    fn draw(&mut self, (): ()) -> Result<(), RenderError> {
        let size = self.size();
        if size.0 == 0 || size.1 == 0 {
            return Ok(());
        }
        if let Some(texture) = self.target() {
            let view = texture.texture.create_view(&wgpu::TextureViewDescriptor::default());
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.drawing.draw(&mut encoder, &view, size)?;
            self.queue.submit([encoder.finish()]);
            self.queue.present(texture);
        }
        if let Some(trouble) = self.trouble.lock().take() {
            return Err(RenderError::Lost(trouble));
        }
        match self.unsettled {
            Some(since) if since.elapsed() > SETTLES => {
                Err(RenderError::Lost("the window doesn't come to rest".into()))
            }
            _ => Ok(()),
        }
    }
}
