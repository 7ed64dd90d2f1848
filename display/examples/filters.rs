//! Draws a PNG (such as `tandem screenshot` makes) with each filter for a screen of that size, and says how long a picture takes:
//! `filters PICTURE.png WIDTH HEIGHT FOLDER`. Software takes the place of a graphics processor where there is none.

use std::{
    io::{Write, stdout},
    path::PathBuf,
    time::Instant,
};

use display::renderer::{Filter, Renderer, gpu, offscreen::Offscreen};
use machine::console::{Frame, Rect};

/// Pictures to take the mean of.
const PICTURES: u32 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(picture), Some(width), Some(height), Some(folder)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("usage: filters PICTURE.png WIDTH HEIGHT FOLDER".into());
    };
    let frame = display::picture::read_png(&std::fs::read(picture)?)?;
    let screen: (u32, u32) = (width.parse()?, height.parse()?);
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;

    let start = Instant::now();
    let gpu = gpu::find(true)?;
    writeln!(stdout(), "{gpu}, found in {:?}", start.elapsed())?;
    for &filter in Filter::ALL {
        let start = Instant::now();
        let mut renderer = Offscreen::new(&gpu, filter)?;
        let mut drawn = Frame::new(screen.0, screen.1);
        let placement = filter.place((frame.width(), frame.height()), screen);
        renderer.update(&frame, &[], placement);
        renderer.draw(&mut drawn)?;
        let first = start.elapsed();
        std::fs::write(folder.join(format!("{}.png", filter.name())), display::picture::png(&drawn)?)?;

        let start = Instant::now();
        let all: [Rect; 1] = [frame.bounds()];
        for _ in 0..PICTURES {
            renderer.update(&frame, &all, placement);
            renderer.draw(&mut drawn)?;
        }
        let each = start.elapsed() / PICTURES;
        writeln!(stdout(), "{}: the first picture {first:?}, then {each:?} each", filter.name())?;
    }
    Ok(())
}
