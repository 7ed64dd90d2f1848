//! The drawing itself: a guest's picture in a texture, and the shaders that bring it to a target. Whose target it is, a window's
//! or one in memory, is for others to know.

use machine::console::{Frame, Rect};

use super::{Filter, RenderError, parts};
use crate::scale::{Placement, Scaling};

/// A [`Frame`]'s pixels are `0x00RRGGBB`: in memory blue comes first.
const PICTURE_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Bgra8UnormSrgb;
const BYTES_A_PIXEL: u32 = 4;

/// How the shaders are told where the picture is (`Look` in `picture.wgsl`).
const LOOK_BYTES: usize = 24;

/// What brings pictures to targets of one device and format.
pub(super) struct Drawing {
    device: wgpu::Device,
    queue: wgpu::Queue,
    layout: wgpu::BindGroupLayout,
    nearest: wgpu::RenderPipeline,
    mean: wgpu::RenderPipeline,
    tube: wgpu::RenderPipeline,
    filter: Filter,
    picture: Option<Picture>,
    note: Option<Picture>,
    too_large: Option<RenderError>,
}

/// A picture on the graphics processor.
struct Picture {
    size: (u32, u32),
    texture: wgpu::Texture,
    look: wgpu::Buffer,
    placement: Option<Placement>,
    bindings: wgpu::BindGroup,
}

impl Drawing {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, target: wgpu::TextureFormat, filter: Filter) -> Self {
        let shaders = device.create_shader_module(wgpu::include_wgsl!("shaders/picture.wgsl"));
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty,
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("picture"),
            entries: &[
                entry(
                    0,
                    wgpu::BindingType::Texture {
                        sample_type: wgpu::TextureSampleType::Float { filterable: false },
                        view_dimension: wgpu::TextureViewDimension::D2,
                        multisampled: false,
                    },
                ),
                entry(
                    1,
                    wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Uniform,
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                ),
            ],
        });
        let pipeline = |fragment| pipeline(device, &shaders, &layout, target, fragment);
        Drawing {
            nearest: pipeline("nearest"),
            mean: pipeline("mean"),
            tube: pipeline("tube"),
            device: device.clone(),
            queue: queue.clone(),
            layout,
            filter,
            picture: None,
            note: None,
            too_large: None,
        }
    }

    pub(super) fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
    }

    /// As [`Renderer::update`](super::Renderer::update).
    pub(super) fn update(&mut self, frame: &Frame, damage: &[Rect], placement: Option<Placement>) {
        let size = (frame.width(), frame.height());
        let limit = self.device.limits().max_texture_dimension_2d;
        self.too_large = (size.0.max(size.1) > limit).then_some(RenderError::TooLarge { size, limit });
        if size.0 == 0 || size.1 == 0 || self.too_large.is_some() {
            self.picture = None;
            return;
        }
        match &mut self.picture {
            Some(picture) if picture.size == size => {
                for part in parts(damage) {
                    picture.bring(&self.queue, frame, part);
                }
            }
            other => {
                let picture = Picture::new(&self.device, &self.layout, size);
                picture.bring(&self.queue, frame, frame.bounds());
                *other = Some(picture);
            }
        }
        if let Some(picture) = &mut self.picture {
            picture.place(&self.queue, placement);
        }
    }

    /// Has a small picture shown over the guest's, pixel by pixel, low in the middle; or none.
    pub(super) fn set_note(&mut self, note: Option<&Frame>) {
        let limit = self.device.limits().max_texture_dimension_2d;
        let sides = 1..=limit;
        let note = note.filter(|note| sides.contains(&note.width()) && sides.contains(&note.height()));
        self.note = note.map(|note| {
            let picture = Picture::new(&self.device, &self.layout, (note.width(), note.height()));
            picture.bring(&self.queue, note, note.bounds());
            picture
        });
    }

    /// Draws the picture on black, over all of a target of this size.
    pub(super) fn draw(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::TextureView,
        size: (u32, u32),
    ) -> Result<(), RenderError> {
        if let Some(error) = &self.too_large {
            return Err(error.clone());
        }
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("picture"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
            })],
            ..wgpu::RenderPassDescriptor::default()
        });
        if let Some(picture) = &self.picture {
            let exact = picture.placement.is_some_and(|placement| placement.is_exact());
            pass.set_pipeline(match self.filter {
                Filter::Integer if exact => &self.nearest,
                Filter::Integer | Filter::SharpBilinear => &self.mean,
                Filter::Crt => &self.tube,
            });
            picture.draw(&mut pass, size);
        }
        if let Some(note) = &mut self.note {
            let placement = Scaling::Original.place(note.size, size);
            let low = placement.map(|placement| Placement { y: placement.y.max(0) * 2 * 15 / 16, ..placement });
            note.place(&self.queue, low);
            pass.set_pipeline(&self.nearest);
            note.draw(&mut pass, size);
        }
        Ok(())
    }
}

impl Picture {
    fn new(device: &wgpu::Device, layout: &wgpu::BindGroupLayout, size: (u32, u32)) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("picture"),
            size: wgpu::Extent3d { width: size.0, height: size.1, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: PICTURE_FORMAT,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let look = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("look"),
            size: LOOK_BYTES as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("picture"),
            layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 1, resource: look.as_entire_binding() },
            ],
        });
        Picture { size, texture, look, placement: None, bindings }
    }

    /// Brings a part of `frame`, which lies within it, to the texture.
    fn bring(&self, queue: &wgpu::Queue, frame: &Frame, part: Rect) {
        if part.width == 0 || part.height == 0 {
            return;
        }
        let target = wgpu::TexelCopyTextureInfo {
            texture: &self.texture,
            mip_level: 0,
            origin: wgpu::Origin3d { x: part.x, y: part.y, z: 0 },
            aspect: wgpu::TextureAspect::All,
        };
        let first = part.y as usize * frame.width() as usize + part.x as usize;
        let source = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(frame.width() * BYTES_A_PIXEL),
            rows_per_image: None,
        };
        let size = wgpu::Extent3d { width: part.width, height: part.height, depth_or_array_layers: 1 };
        queue.write_texture(target, bytemuck::cast_slice(&frame.pixels()[first..]), source, size);
    }

    /// Says where it goes.
    fn place(&mut self, queue: &wgpu::Queue, placement: Option<Placement>) {
        if self.placement != placement {
            self.placement = placement;
            if let Some(placement) = placement {
                queue.write_buffer(&self.look, 0, &look(&placement));
            }
        }
    }

    /// Draws it, with the pipeline that is set, to a target of this size.
    fn draw(&self, pass: &mut wgpu::RenderPass<'_>, size: (u32, u32)) {
        if let Some((x, y, width, height)) = self.placement.and_then(|placement| visible(&placement, size)) {
            pass.set_bind_group(0, &self.bindings, &[]);
            pass.set_scissor_rect(x, y, width, height);
            pass.draw(0..3, 0..1);
        }
    }
}

fn pipeline(
    device: &wgpu::Device,
    shaders: &wgpu::ShaderModule,
    layout: &wgpu::BindGroupLayout,
    target: wgpu::TextureFormat,
    fragment: &str,
) -> wgpu::RenderPipeline {
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(fragment),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(fragment),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: shaders,
            entry_point: Some("everywhere"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: shaders,
            entry_point: Some(fragment),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(target.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

/// `Look` in `picture.wgsl`.
fn look(placement: &Placement) -> [u8; LOOK_BYTES] {
    let step = |pixels: u32, length: u32| (f64::from(pixels) / f64::from(length)) as f32;
    let words = [
        (placement.x as f32).to_ne_bytes(),
        (placement.y as f32).to_ne_bytes(),
        step(placement.picture.0, placement.width).to_ne_bytes(),
        step(placement.picture.1, placement.height).to_ne_bytes(),
        (placement.picture.0 - 1).to_ne_bytes(),
        (placement.picture.1 - 1).to_ne_bytes(),
    ];
    let mut bytes = [0; LOOK_BYTES];
    bytes.as_chunks_mut().0.copy_from_slice(&words);
    bytes
}

/// The part of a target that a picture takes: left and upper edge, width, height. `None` if it lies beside.
fn visible(placement: &Placement, target: (u32, u32)) -> Option<(u32, u32, u32, u32)> {
    let along = |start: i32, length: u32, limit: u32| {
        let first = i64::from(start).clamp(0, i64::from(limit));
        let end = (i64::from(start) + i64::from(length)).clamp(first, i64::from(limit));
        Some((u32::try_from(first).ok()?, u32::try_from(end - first).ok()?)).filter(|&(_, length)| length > 0)
    };
    let (x, width) = along(placement.x, placement.width, target.0)?;
    let (y, height) = along(placement.y, placement.height, target.1)?;
    Some((x, y, width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_on_the_target_is_drawn() {
        let place = |x, y, width, height| Placement { x, y, width, height, picture: (1, 1) };
        assert_eq!(visible(&place(10, 0, 20, 30), (40, 30)), Some((10, 0, 20, 30)));
        assert_eq!(visible(&place(-5, -7, 50, 44), (40, 30)), Some((0, 0, 40, 30)));
        assert_eq!(visible(&place(35, 2, 20, 5), (40, 30)), Some((35, 2, 5, 5)));
        assert_eq!(visible(&place(40, 2, 20, 5), (40, 30)), None);
        assert_eq!(visible(&place(-20, 2, 20, 5), (40, 30)), None);
        assert_eq!(visible(&place(i32::MAX, 0, u32::MAX, 1), (40, 30)), None);
    }
}
