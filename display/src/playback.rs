//! A machine's samples on this computer's loudspeaker, by way of cpal.
//!
//! Two clocks are at work: the machine's mixer makes samples by one, the sound card takes them by another. Between them is a
//! ring without locks; how full it is says which is faster, and the samples are stretched by up to half a per cent so that it
//! stays half a [`TARGET`] from empty and from too full. Nobody hears half a per cent.

use cpal::{
    BufferSize, SampleFormat, SizedSample, StreamConfig,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::sound::{CHANNELS, RATE};

/// How many frames the ring holds when both clocks agree: 60 ms.
pub const TARGET: usize = 2880;
/// How many it can hold.
const ROOM: usize = 4 * TARGET;
/// The most that samples are stretched or squeezed.
const MOST_STRETCH: f64 = 0.005;
/// Frames that the sound card is given at a time.
const CARD_FRAMES: u32 = 1024;

/// A machine's samples can't be heard.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// There is no sound card or server.
    #[error("this computer has nothing to play sound with")]
    NoDevice,
    /// It takes samples of no form that we give.
    #[error("the sound card takes samples as {0}, which can't be given")]
    Format(SampleFormat),
    /// It refuses.
    #[error("the sound card can't be used")]
    Card(#[from] cpal::Error),
}

/// What plays. It ends when this is dropped.
pub struct Playback {
    ring: Producer<[i16; CHANNELS]>,
    _stream: cpal::Stream,
}

impl Playback {
    /// Begins to play on the person's chosen card. `failed` hears when that ends by itself.
    ///
    /// # Errors
    /// [`PlaybackError`].
    pub fn begin(failed: impl FnMut(String) + Send + 'static) -> Result<Self, PlaybackError> {
        let device = cpal::default_host().default_output_device().ok_or(PlaybackError::NoDevice)?;
        let wanted = device.default_output_config()?;
        let config = StreamConfig {
            channels: wanted.channels(),
            sample_rate: wanted.sample_rate(),
            buffer_size: BufferSize::Fixed(CARD_FRAMES),
        };
        let (ring, taken) = RingBuffer::new(ROOM);
        let feed = Feed::new(taken, f64::from(RATE) / f64::from(config.sample_rate));
        let stream = match wanted.sample_format() {
            SampleFormat::F32 => build(&device, config, feed, failed, |sample| sample)?,
            SampleFormat::I16 => build(&device, config, feed, failed, |sample| (sample * 32767.0) as i16)?,
            SampleFormat::I32 => build(&device, config, feed, failed, |sample| (sample * 2_147_483_520.0) as i32)?,
            SampleFormat::U8 => build(&device, config, feed, failed, |sample| (sample * 127.0 + 128.0) as u8)?,
            other => return Err(PlaybackError::Format(other)),
        };
        stream.play()?;
        Ok(Playback { ring, _stream: stream })
    }

    /// Gives samples, interleaved for [`CHANNELS`]. What finds no room, because the card takes none, is dropped.
    pub fn push(&mut self, samples: &[i16]) {
        for frame in samples.as_chunks().0 {
            if self.ring.push(*frame).is_err() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Playback {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Playback")
    }
}

fn build<T: SizedSample>(
    device: &cpal::Device,
    config: StreamConfig,
    mut feed: Feed,
    mut failed: impl FnMut(String) + Send + 'static,
    shape: fn(f32) -> T,
) -> Result<cpal::Stream, PlaybackError> {
    let channels = usize::from(config.channels).max(1);
    let fill = move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
        feed.begin();
        for frame in data.chunks_mut(channels) {
            let [left, right] = feed.frame();
            match frame {
                [only] => *only = shape((left + right) / 2.0),
                [first, second, rest @ ..] => {
                    (*first, *second) = (shape(left), shape(right));
                    rest.fill_with(|| shape(0.0));
                }
                [] => {}
            }
        }
    };
    // What came too late for the card is heard as a click, and is over.
    let error = move |error: cpal::Error| match error.kind() {
        cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied | cpal::ErrorKind::DeviceChanged => {}
        _ => failed(error.to_string()),
    };
    Ok(device.build_output_stream(config, fill, error, None)?)
}

/// Takes frames from the ring at the card's own pace.
struct Feed {
    ring: Consumer<[i16; CHANNELS]>,
    /// Frames of the machine for one of the card, if both clocks agree.
    ratio: f64,
    /// The same, as it is now.
    pace: f64,
    /// The frames on both sides of where we are, and where that is between them.
    before: [f32; CHANNELS],
    after: [f32; CHANNELS],
    between: f64,
    /// The ring was empty: it is filled again before it is taken from.
    waiting: bool,
}

impl Feed {
    fn new(ring: Consumer<[i16; CHANNELS]>, ratio: f64) -> Self {
        Feed { ring, ratio, pace: ratio, before: [0.0; 2], after: [0.0; 2], between: 0.0, waiting: true }
    }

    /// The card wants more: looks how full the ring is.
    fn begin(&mut self) {
        let filled = self.ring.slots();
        if self.waiting {
            self.waiting = filled < TARGET / 2;
        }
        let excess = (filled as f64 - TARGET as f64) / TARGET as f64;
        self.pace = self.ratio * (1.0 + (excess * MOST_STRETCH).clamp(-MOST_STRETCH, MOST_STRETCH));
    }

    fn frame(&mut self) -> [f32; CHANNELS] {
        if self.waiting {
            self.fade();
        } else {
            self.between += self.pace;
            while self.between >= 1.0 {
                self.between -= 1.0;
                self.before = self.after;
                match self.ring.pop() {
                    Ok(frame) => self.after = frame.map(|sample| f32::from(sample) / 32768.0),
                    // A gap: silence, until there is something again.
                    Err(_) => {
                        self.waiting = true;
                        self.fade();
                    }
                }
            }
        }
        let between = self.between as f32;
        std::array::from_fn(|channel| self.before[channel] + (self.after[channel] - self.before[channel]) * between)
    }

    /// Goes to silence without a click.
    fn fade(&mut self) {
        self.before = self.after;
        self.after = self.after.map(|sample| sample * 0.98);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(ratio: f64) -> (Producer<[i16; CHANNELS]>, Feed) {
        let (ring, taken) = RingBuffer::new(ROOM);
        (ring, Feed::new(taken, ratio))
    }

    fn fill(ring: &mut Producer<[i16; CHANNELS]>, frames: usize, value: i16) {
        (0..frames).for_each(|_| ring.push([value; CHANNELS]).unwrap());
    }

    #[test]
    fn it_waits_until_there_is_enough_and_then_plays_all() {
        let (mut ring, mut feed) = feed(1.0);
        fill(&mut ring, TARGET / 2 - 1, 16384);
        feed.begin();
        assert_eq!(feed.frame(), [0.0; 2]);
        fill(&mut ring, TARGET, 16384);
        feed.begin();
        (0..10).for_each(|_| drop(feed.frame()));
        assert_eq!(feed.frame(), [0.5; 2]);
    }

    #[test]
    fn a_gap_is_silence_and_no_click() {
        let (mut ring, mut feed) = feed(1.0);
        fill(&mut ring, TARGET, 16384);
        feed.begin();
        let mut last = 0.0_f32;
        let mut steepest = 0.0_f32;
        for index in 0..TARGET * 2 {
            let [left, _] = feed.frame();
            if index > 5 {
                steepest = steepest.max((left - last).abs());
            }
            last = left;
        }
        assert!(steepest < 0.05, "{steepest}");
        assert!(last.abs() < 0.001, "{last}");
    }

    #[test]
    fn a_card_that_is_faster_or_slower_finds_the_ring_neither_empty_nor_full() {
        for drift in [0.997, 1.0, 1.003] {
            let (mut ring, mut feed) = feed(1.0);
            fill(&mut ring, TARGET, 100);
            let mut due = 0.0;
            let mut least = usize::MAX;
            // Ten minutes: blocks of the card, and what the machine makes in that time.
            for _ in 0..10 * 60 * 48_000 / CARD_FRAMES {
                due += f64::from(CARD_FRAMES) * drift;
                let frames = due as usize;
                due -= frames as f64;
                fill(&mut ring, frames, 100);
                feed.begin();
                (0..CARD_FRAMES).for_each(|_| drop(feed.frame()));
                least = least.min(feed.ring.slots());
            }
            assert!(least > 0 && feed.ring.slots() < ROOM / 2, "{drift}: {least}, {}", feed.ring.slots());
        }
    }

    #[test]
    fn another_rate_is_made_by_what_lies_between() {
        let (mut ring, mut feed) = feed(0.5);
        let ramp = (0..TARGET as i16).map(|value| [value * 8; CHANNELS]);
        ramp.for_each(|frame| ring.push(frame).unwrap());
        feed.begin();
        feed.pace = 0.5;
        let frames: Vec<f32> = (0..40).map(|_| feed.frame()[0]).skip(6).collect();
        let steps: Vec<f32> = frames.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (step - 4.0 / 32768.0).abs() < 1e-6), "{steps:?}");
    }
}
