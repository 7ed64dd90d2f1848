//! The shaders on a window of their own, through the crate `pixels`.
//!
//! `pixels` owns the surface: it finds an adapter that can draw to it, configures it, and again when it is outdated or lost. Its own
//! buffer of pixels, which it brings to the graphics processor whole each time, is a single pixel here that nobody sees:
//! [`Drawing`] brings what has changed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use machine::console::{Frame, Rect};
use parking_lot::Mutex;
use pixels::{
    Pixels, PixelsBuilder, SurfaceTexture,
    raw_window_handle::HasDisplayHandle,
    wgpu::{self, WindowHandle},
};

use super::{
    Filter, RenderError, Renderer,
    drawing::Drawing,
    gpu::{self, Gpu},
};
use crate::scale::Placement;

/// Draws with shaders to a window.
pub struct ShaderRenderer {
    pixels: Pixels<'static>,
    drawing: Drawing,
    size: (u32, u32),
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
        W: WindowHandle + HasDisplayHandle + 'static,
    {
        let size = (size.0.max(1), size.1.max(1));
        let builder = PixelsBuilder::new(1, 1, SurfaceTexture::new(size.0, size.1, window))
            .wgpu_backend(wgpu::Backends::VULKAN)
            .request_adapter_options(wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::LowPower,
                force_fallback_adapter: gpu.is_software(),
                compatible_surface: None,
            });
        // It configures the surface before anybody can listen to errors of the device: those are panics.
        let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
        let refused = |why: &str| RenderError::Refused(why.to_owned());
        let pixels = built.map_err(|_| refused("the surface can't be set up"))?;
        let pixels = pixels.map_err(|error| refused(&error.to_string()))?;
        if !gpu::is_same_kind(gpu, &pixels.adapter().get_info()) {
            return Err(refused(&format!("{gpu} can't show pictures on this display")));
        }
        let trouble = Arc::new(Mutex::new(None));
        let (errors, losses) = (trouble.clone(), trouble.clone());
        pixels.device().on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            errors.lock().get_or_insert(error.to_string());
        }));
        pixels.device().set_device_lost_callback(move |_, message| {
            losses.lock().get_or_insert(message);
        });
        let drawing = Drawing::new(pixels.device(), pixels.queue(), pixels.surface_texture_format(), filter);
        Ok(ShaderRenderer { pixels, drawing, size, trouble })
    }

    /// The window has another size now. One without pixels is not drawn to.
    pub fn resize(&mut self, size: (u32, u32)) {
        if size == self.size {
            return;
        }
        self.size = size;
        if size.0 != 0
            && size.1 != 0
            && let Err(error) = self.pixels.resize_surface(size.0, size.1)
        {
            self.trouble.lock().get_or_insert(error.to_string());
        }
    }

    /// The window's size, in pixels of the screen.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.size
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

impl Renderer for ShaderRenderer {
    /// Its window.
    type Target<'t> = ();

    fn update(&mut self, frame: &Frame, damage: &[Rect], placement: Option<Placement>) {
        self.drawing.update(frame, damage, placement);
    }

    fn draw(&mut self, (): ()) -> Result<(), RenderError> {
        if self.size.0 == 0 || self.size.1 == 0 {
            return Ok(());
        }
        let mut drawn = Ok(());
        let shown = self.pixels.render_with(|encoder, view, _| {
            drawn = self.drawing.draw(encoder, view, self.size);
            Ok(())
        });
        drawn?;
        if let Some(trouble) = self.trouble.lock().take() {
            return Err(RenderError::Lost(trouble));
        }
        shown.map_err(|error| RenderError::Lost(error.to_string()))
    }
}
