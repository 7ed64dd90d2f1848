//! The shaders without a window: into memory, for tests and for whoever wants to keep what a person would see.

use machine::console::{Frame, Rect};

use super::{Filter, RenderError, Renderer, drawing::Drawing, gpu};
use crate::scale::Placement;

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Bgra8UnormSrgb;

/// Draws with shaders into memory.
pub struct Offscreen {
    device: wgpu::Device,
    queue: wgpu::Queue,
    drawing: Drawing,
}

impl Offscreen {
    /// Draws with `filter` on the processor that was found.
    ///
    /// # Errors
    /// It is gone, or its driver refuses.
    pub fn new(gpu: &gpu::Gpu, filter: Filter) -> Result<Self, RenderError> {
        let adapter = gpu.adapter(&gpu::instance());
        let adapter = adapter.ok_or_else(|| RenderError::Refused(format!("{gpu} is gone")))?;
        let wanted = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..wgpu::DeviceDescriptor::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&wanted))
            .map_err(|error| RenderError::Refused(error.to_string()))?;
        let drawing = Drawing::new(&device, &queue, FORMAT, filter);
        Ok(Offscreen { device, queue, drawing })
    }

    /// Draws with another filter from now on.
    pub fn set_filter(&mut self, filter: Filter) {
        self.drawing.set_filter(filter);
    }

    /// Shows a small picture over the guest's from now on, pixel by pixel and low in the middle; or none.
    pub fn set_note(&mut self, note: Option<&Frame>) {
        self.drawing.set_note(note);
    }
}

impl Renderer for Offscreen {
    /// A picture of the size of the screen, in the place of one.
    type Target<'t> = &'t mut Frame;

    fn update(&mut self, frame: &Frame, damage: &[Rect], placement: Option<Placement>) {
        self.drawing.update(frame, damage, placement);
    }

    fn draw(&mut self, target: &mut Frame) -> Result<(), RenderError> {
        let size = wgpu::Extent3d { width: target.width(), height: target.height(), depth_or_array_layers: 1 };
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("screen"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let row_bytes = (target.width() * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let memory = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("screen"),
            size: u64::from(row_bytes) * u64::from(target.height()),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        self.drawing.draw(&mut encoder, &view, (target.width(), target.height()))?;
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row_bytes), rows_per_image: None };
        let destination = wgpu::TexelCopyBufferInfo { buffer: &memory, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), destination, size);
        self.queue.submit([encoder.finish()]);

        let (tell, told) = std::sync::mpsc::channel();
        memory.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = tell.send(result);
        });
        let lost = |error: String| RenderError::Lost(error);
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| lost(error.to_string()))?;
        let mapped = told.recv().map_err(|error| lost(error.to_string()))?;
        mapped.map_err(|error| lost(error.to_string()))?;
        let bytes = memory.get_mapped_range(..).map_err(|error| lost(error.to_string()))?;
        for (y, row) in (0..target.height()).zip(bytes.chunks_exact(row_bytes as usize)) {
            for (pixel, bytes) in target.row_mut(y).iter_mut().zip(row.as_chunks::<4>().0) {
                // Blue comes first; what comes last is how opaque it is.
                *pixel = u32::from_le_bytes(*bytes) & 0x00ff_ffff;
            }
        }
        Ok(())
    }
}
