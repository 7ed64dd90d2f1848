//! Pictures of our windows without a window: what egui wants drawn, drawn by the processor. Slow, and the same on every
//! computer.
//!
//! It draws triangles with textures, colours and clipping, as egui's painters do, in gamma space with premultiplied alpha.
//! Edges are not smoothed further: egui feathers them itself.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use eframe::egui::{
    Color32, Context, FullOutput, ImageData, Pos2, Rect, Rgba, TextureId, TexturesDelta,
    epaint::{ClippedPrimitive, ColorImage, Mesh, Primitive, Vertex},
    pos2,
};
use egui_kittest::TestRenderer;
use machine::console::Frame;

/// The textures that egui has made. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Paper(Rc<RefCell<HashMap<TextureId, ColorImage>>>);

impl TestRenderer for Paper {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        let mut textures = self.0.borrow_mut();
        for (id, deltas) in delta.set.drain() {
            for delta in deltas {
                let ImageData::Color(patch) = delta.image;
                match (delta.pos, textures.get_mut(&id)) {
                    (Some([x, y]), Some(whole)) => {
                        for row in 0..patch.height() {
                            let from = row * patch.width();
                            let to = (y + row) * whole.width() + x;
                            whole.pixels[to..to + patch.width()]
                                .copy_from_slice(&patch.pixels[from..from + patch.width()]);
                        }
                    }
                    _ => {
                        textures.insert(id, (*patch).clone());
                    }
                }
            }
        }
        for id in delta.free.drain() {
            textures.remove(&id);
        }
    }
}

impl Paper {
    /// Draws what `output` says, for a window of so many points.
    pub(crate) fn draw(&self, context: &Context, output: &FullOutput, width: f32, height: f32) -> Frame {
        let scale = output.pixels_per_point;
        let size = |length: f32| (length * scale).round() as u32;
        let mut canvas = Canvas { width: size(width), height: size(height), pixels: Vec::new() };
        canvas.pixels = vec![Rgba::BLACK; (canvas.width * canvas.height) as usize];
        let textures = self.0.borrow();
        for ClippedPrimitive { clip_rect, primitive } in context.tessellate(output.shapes.clone(), scale) {
            let Primitive::Mesh(mesh) = primitive else { continue };
            if let Some(texture) = textures.get(&mesh.texture_id) {
                canvas.mesh(&mesh, texture, clip_rect, scale);
            }
        }
        let mut frame = Frame::new(canvas.width, canvas.height);
        for (pixel, colour) in frame.pixels_mut().iter_mut().zip(&canvas.pixels) {
            let level = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u32;
            *pixel = level(colour.r()) << 16 | level(colour.g()) << 8 | level(colour.b());
        }
        frame
    }
}

/// Pixels, by rows from the top. Colours are kept as fractions of 1 of what a screen gets.
struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<Rgba>,
}

/// A colour as fractions, without any conversion.
fn fractions(colour: Color32) -> Rgba {
    let [red, green, blue, alpha] = colour.to_array().map(|level| f32::from(level) / 255.0);
    Rgba::from_rgba_premultiplied(red, green, blue, alpha)
}

impl Canvas {
    fn mesh(&mut self, mesh: &Mesh, texture: &ColorImage, clip: Rect, scale: f32) {
        let edge = |value: f32, most: u32| (value * scale).round().clamp(0.0, most as f32) as u32;
        let clip = [
            edge(clip.min.x, self.width),
            edge(clip.min.y, self.height),
            edge(clip.max.x, self.width),
            edge(clip.max.y, self.height),
        ];
        for corners in mesh.indices.as_chunks::<3>().0 {
            self.triangle(corners.map(|index| mesh.vertices[index as usize]), texture, clip, scale);
        }
    }

    /// A triangle, whose pixels are those with their centre in it; of two that share an edge, one has those upon it.
    fn triangle(&mut self, mut corners: [Vertex; 3], texture: &ColorImage, clip: [u32; 4], scale: f32) {
        let turn = |[a, b, c]: [Pos2; 3]| (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
        let mut places = corners.map(|corner| pos2(corner.pos.x * scale, corner.pos.y * scale));
        let mut area = turn(places);
        if area < 0.0 {
            corners.swap(1, 2);
            places.swap(1, 2);
            area = -area;
        }
        if area == 0.0 {
            return;
        }
        let [xs, ys] = [places.map(|place| place.x), places.map(|place| place.y)];
        let least = |values: [f32; 3], from: u32| (values.into_iter().fold(f32::MAX, f32::min).max(from as f32)) as u32;
        let most =
            |values: [f32; 3], to: u32| (values.into_iter().fold(f32::MIN, f32::max).max(0.0).ceil() as u32).min(to);
        // An edge that is at the top or the left has the pixels upon it.
        let has_edge = |from: Pos2, to: Pos2| to.y < from.y || to.y == from.y && to.x > from.x;
        let edges = [has_edge(places[1], places[2]), has_edge(places[2], places[0]), has_edge(places[0], places[1])];
        let colours = corners.map(|corner| fractions(corner.color));
        for y in least(ys, clip[1])..most(ys, clip[3]) {
            for x in least(xs, clip[0])..most(xs, clip[2]) {
                let at = pos2(x as f32 + 0.5, y as f32 + 0.5);
                let weights = [
                    turn([places[1], places[2], at]),
                    turn([places[2], places[0], at]),
                    turn([places[0], places[1], at]),
                ];
                let inside = weights.iter().zip(edges).all(|(&weight, edge)| weight > 0.0 || weight == 0.0 && edge);
                if !inside {
                    continue;
                }
                let weights = weights.map(|weight| weight / area);
                let mixed = |values: [f32; 3]| values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
                let colour =
                    colours.iter().zip(weights).fold(Rgba::TRANSPARENT, |sum, (colour, weight)| sum + *colour * weight);
                let texel =
                    sample(texture, mixed(corners.map(|corner| corner.uv.x)), mixed(corners.map(|corner| corner.uv.y)));
                let drawn = Rgba::from_rgba_premultiplied(
                    colour.r() * texel.r(),
                    colour.g() * texel.g(),
                    colour.b() * texel.b(),
                    colour.a() * texel.a(),
                );
                let pixel = &mut self.pixels[(y * self.width + x) as usize];
                *pixel = drawn + *pixel * (1.0 - drawn.a());
            }
        }
    }
}

/// The texture's colour at a place from 0 to 1, mixed of the four texels around it.
fn sample(texture: &ColorImage, u: f32, v: f32) -> Rgba {
    let place = |at: f32, length: usize| {
        let at = (at * length as f32 - 0.5).clamp(0.0, (length - 1) as f32);
        (at as usize, (at as usize + 1).min(length - 1), at.fract())
    };
    let (left, right, across) = place(u, texture.width());
    let (top, bottom, down) = place(v, texture.height());
    let texel = |x: usize, y: usize| fractions(texture.pixels[y * texture.width() + x]);
    let above = texel(left, top) * (1.0 - across) + texel(right, top) * across;
    let below = texel(left, bottom) * (1.0 - across) + texel(right, bottom) * across;
    above * (1.0 - down) + below * down
}

#[cfg(test)]
mod tests {
    use eframe::egui::{CentralPanel, Frame as EguiFrame};
    use egui_kittest::Harness;

    use super::*;

    #[test]
    fn a_rectangle_is_where_it_should_be_in_its_colour() {
        let paper = Paper::default();
        let mut harness =
            Harness::builder().with_size([40.0, 30.0]).with_pixels_per_point(2.0).renderer(paper.clone()).build_ui(
                |ui| {
                    CentralPanel::default().frame(EguiFrame::new().fill(Color32::from_rgb(1, 2, 3))).show(ui, |ui| {
                        let rect = Rect::from_min_max(pos2(10.0, 10.0), pos2(20.0, 20.0));
                        ui.painter().rect_filled(rect, 0.0, Color32::from_rgb(200, 100, 50));
                    });
                },
            );
        harness.step();
        let frame = paper.draw(&harness.ctx, harness.output(), 40.0, 30.0);
        assert_eq!((frame.width(), frame.height()), (80, 60));
        let at = |x: u32, y: u32| frame.pixels()[(y * frame.width() + x) as usize];
        let (inside, beside) = (0x00c8_6432, 0x0001_0203);
        assert_eq!([at(30, 30), at(22, 36), at(38, 22)], [inside; 3]);
        assert_eq!([at(50, 30), at(18, 18), at(42, 42)], [beside; 3]);
    }
}
