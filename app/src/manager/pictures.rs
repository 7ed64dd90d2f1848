//! Every page of the manager in light and dark and at three scales: nothing is cut, and everything can be told from what is
//! behind it. With `TANDEM_PICTURES` set, which is a folder, a picture of each is left there (`cargo xtask pictures`).

use std::path::PathBuf;

use eframe::egui::{self, Key, Modifiers, Theme, vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};

use super::{
    Manager, Page,
    host::HostPage,
    tests::{disc, library, manager, wait_for},
};
use crate::ui::{paper::Paper, theme};

/// A window as it is first opened, and the smallest.
const SIZES: [(f32, f32); 2] = [(1080.0, 720.0), super::SMALLEST];

/// A window with two machines in its list.
struct Scene {
    harness: Harness<'static, Manager>,
    paper: Paper,
    size: (f32, f32),
    _folder: tempfile::TempDir,
    disc: PathBuf,
}

impl Scene {
    fn open(theme: Theme, scale: f32, size: (f32, f32)) -> Self {
        let (folder, library) = library(&["Debian", "Linux Mint"]);
        let disc = disc(&folder, "Debian 12.5.0 amd64 n");
        let paper = Paper::default();
        let harness = Harness::builder()
            .with_size(vec2(size.0, size.1))
            .with_pixels_per_point(scale)
            .with_theme(theme)
            .renderer(paper.clone())
            .build_eframe(move |creation| {
                theme::apply(&creation.egui_ctx);
                creation.egui_ctx.set_theme(theme);
                manager(library, &[], &creation.egui_ctx)
            });
        let mut scene = Scene { harness, paper, size, _folder: folder, disc };
        wait_for(&mut scene.harness, "Linux Mint, Off");
        scene
    }

    /// Brings up the page of that name.
    fn show(&mut self, page: &str) {
        let harness = &mut self.harness;
        match page {
            "machine" => {}
            "new" => {
                harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
                wait_for(harness, "New machine");
                harness.event(egui::Event::Text(self.disc.display().to_string()));
                wait_for(harness, "Debian 12");
            }
            "settings" => {
                harness.get_by_label("Settings…").click();
                wait_for(harness, "Settings of Debian");
            }
            "palette" => {
                harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
                wait_for(harness, "Go to Linux Mint");
            }
            "rename" => {
                harness.key_press(Key::F2);
                wait_for(harness, "Rename 'Debian'");
            }
            "host" => {
                harness.state_mut().page = Page::Host(HostPage::of(include_str!("host/report.json")));
                wait_for(harness, "This computer");
            }
            other => panic!("there is no page {other:?}"),
        }
        (0..4).for_each(|_| harness.step());
    }

    /// Everything that says something lies in the window.
    fn check(&self, what: &str) {
        let (width, height) = self.size;
        let nodes = self.harness.root().children_recursive();
        let mut count = 0;
        for node in nodes {
            let access = node.accesskit_node();
            let Some(label) = access.label().or_else(|| access.value()).filter(|label| !label.is_empty()) else {
                continue;
            };
            // What can be scrolled to may lie outside.
            let rect = node.rect();
            let in_window = rect.min.x >= -0.5 && rect.max.x <= width + 0.5 && rect.min.y >= -0.5;
            assert!(in_window, "{what}: {label:?} is cut: {rect:?} in {width} by {height}");
            count += 1;
        }
        assert!(count > 5, "{what} says next to nothing");
    }

    fn keep(&self, name: &str) {
        let Some(folder) = std::env::var_os("TANDEM_PICTURES").map(PathBuf::from) else { return };
        let (width, height) = self.size;
        let frame = self.paper.draw(&self.harness.ctx, self.harness.output(), width, height);
        let png = display::picture::png(&frame).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }
}

#[test]
fn every_page_fits_in_light_and_dark_and_at_three_scales() {
    for page in ["machine", "new", "settings", "palette", "rename", "host"] {
        for (theme, shade) in [(Theme::Dark, "dark"), (Theme::Light, "light")] {
            for scale in [1.0, 1.25, 1.5] {
                for size in SIZES {
                    let mut scene = Scene::open(theme, scale, size);
                    scene.show(page);
                    scene.check(&format!("{page}, {shade}, {scale}, {size:?}"));
                    if size == SIZES[0] && (scale == 1.0 || page == "new" && shade == "light") {
                        scene.keep(&format!("{page}-{shade}-{}", (scale * 100.0) as u32));
                    }
                }
            }
        }
    }
}
