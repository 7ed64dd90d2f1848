//! A machine's sounds, mixed: what its devices play becomes samples for whoever listens.
//!
//! The mixer's thread makes a block of samples each [`BLOCK`] while something sounds and somebody listens, and sleeps
//! otherwise. Samples are interleaved for two channels, 16 bits each, [`RATE`] a second. Where nothing sounds, nothing is
//! sent: a gap is silence.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Frames a second.
pub const RATE: u32 = 48_000;
/// Samples of a frame: left and right.
pub const CHANNELS: usize = 2;
/// Frames of a block.
pub const BLOCK_FRAMES: usize = 480;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = BLOCK_FRAMES * CHANNELS * 2;
/// How long a block lasts.
pub const BLOCK: Duration = Duration::from_millis(10);
/// A block is made when its time has passed, so that everything that belongs into it is known.
const LATENCY: Duration = BLOCK;
/// A thread that comes this much too late goes on with what sounds now.
const LATEST: Duration = Duration::from_millis(200);
/// How often a source that is still is looked at while something would sound.
const STILL_CHECK: Duration = Duration::from_millis(100);
/// How loud the PC speaker is, of 1.
const SPEAKER_LEVEL: f32 = 0.2;

/// One who listens: is given each block, and says whether it wants more.
pub type Listener = Box<dyn FnMut(&[i16]) -> bool + Send>;

/// What is asked before each block: brings what sounds up to date, and says whether the machine's time goes on.
pub type Refresh = Box<dyn FnMut() -> bool + Send>;

/// The mixer of one machine. Dropping it ends its thread.
pub struct Mixer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Apart from the state, which it may want.
    refresh: Mutex<Option<Refresh>>,
    /// Something sounds, somebody listens, or it is the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    speaker: Speaker,
    listeners: Vec<(u64, Listener)>,
    last_listener: u64,
    closed: bool,
}

impl Mixer {
    /// A mixer with its thread.
    ///
    /// # Errors
    /// The host can't make a thread.
    pub fn spawn() -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), refresh: Mutex::default(), changed: Condvar::new() });
        let mixing = shared.clone();
        let thread = std::thread::Builder::new().name("sound".into()).spawn(move || mixing.run())?;
        Ok(Mixer { shared, thread: Some(thread) })
    }

    /// What the PC speaker calls with the frequency that is to be heard from now on, in Hz, or nothing. It never waits for
    /// long.
    pub fn speaker(&self) -> impl FnMut(Option<f64>) + Send + 'static {
        let shared = self.shared.clone();
        move |hertz| {
            shared.state.lock().speaker.set(Instant::now(), hertz);
            shared.changed.notify_one();
        }
    }

    /// Before each block `refresh` is asked from now on.
    pub fn refresh(&self, refresh: Refresh) {
        *self.shared.refresh.lock() = Some(refresh);
    }

    /// Somebody listens from now on, until what is given back is dropped.
    #[must_use = "nobody listens without"]
    pub fn listen(&self, listener: Listener) -> Listening {
        let mut state = self.shared.state.lock();
        state.last_listener += 1;
        let id = state.last_listener;
        state.listeners.push((id, listener));
        self.shared.changed.notify_one();
        Listening { shared: self.shared.clone(), id }
    }
}

/// Somebody listens.
pub struct Listening {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.state.lock().listeners.retain(|(id, _)| *id != self.id);
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Listening({})", self.id)
    }
}

impl Drop for Mixer {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // It may hold what holds our sinks.
        *self.shared.refresh.lock() = None;
    }
}

impl std::fmt::Debug for Mixer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mixer")
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while !state.closed && (state.listeners.is_empty() || !state.speaker.is_sounding()) {
                if state.listeners.is_empty() {
                    // What nobody hears isn't kept.
                    state.speaker.forget();
                }
                self.changed.wait(&mut state);
            }
            if state.closed {
                return;
            }
            let mut start = Instant::now();
            while !state.closed && !state.listeners.is_empty() && state.speaker.is_sounding() {
                if !self.changed.wait_until(&mut state, start + BLOCK + LATENCY).timed_out() {
                    continue;
                }
                let goes_on = MutexGuard::unlocked(&mut state, || self.refresh.lock().as_mut().is_none_or(|ask| ask()));
                if !goes_on {
                    self.changed.wait_for(&mut state, STILL_CHECK);
                    start = Instant::now();
                    continue;
                }
                start = start.max(Instant::now() - LATEST);
                let samples = state.speaker.block(start);
                state.listeners.retain_mut(|(_, listener)| listener(&samples));
                start += BLOCK;
            }
        }
    }
}

/// The PC speaker: a square wave.
#[derive(Default)]
struct Speaker {
    /// What is to be heard from when on, in order.
    changes: VecDeque<(Instant, Option<f64>)>,
    hertz: Option<f64>,
    /// Where in its period the wave is, from 0 to 1.
    phase: f64,
}

impl Speaker {
    fn set(&mut self, now: Instant, hertz: Option<f64>) {
        self.changes.push_back((now, hertz));
    }

    /// Only the last change counts.
    fn forget(&mut self) {
        if let Some((_, hertz)) = self.changes.drain(..).next_back() {
            self.hertz = hertz;
        }
    }

    fn is_sounding(&self) -> bool {
        self.hertz.is_some() || self.changes.iter().any(|(_, hertz)| hertz.is_some())
    }

    /// The block that begins at `start`.
    fn block(&mut self, start: Instant) -> Vec<i16> {
        let mut samples = Vec::with_capacity(BLOCK_FRAMES * CHANNELS);
        for frame in 0..BLOCK_FRAMES {
            let at = start + Duration::from_nanos(frame as u64 * 1_000_000_000 / u64::from(RATE));
            while let Some((_, hertz)) = self.changes.pop_front_if(|(when, _)| *when <= at) {
                if self.hertz.is_none() {
                    self.phase = 0.0;
                }
                self.hertz = hertz;
            }
            let level = (self.sample() * SPEAKER_LEVEL * f32::from(i16::MAX)) as i16;
            samples.extend([level; CHANNELS]);
        }
        samples
    }

    fn sample(&mut self) -> f32 {
        let Some(hertz) = self.hertz else { return 0.0 };
        let step = hertz / f64::from(RATE);
        // Beyond half the rate nothing can be heard, nor told from something else.
        if !(0.0..0.5).contains(&step) {
            return 0.0;
        }
        let naive = if self.phase < 0.5 { 1.0 } else { -1.0 };
        // An ideal edge has overtones that would come back as wrong ones: it is rounded over two samples (PolyBLEP).
        let smooth = naive + rounding(self.phase, step) - rounding((self.phase + 0.5).fract(), step);
        self.phase = (self.phase + step).fract();
        smooth as f32
    }
}

/// What takes the overtones that can't be shown from an edge at phase 0, with a wave that goes on by `step` a sample.
fn rounding(phase: f64, step: f64) -> f64 {
    if phase < step {
        let at = phase / step;
        at + at - at * at - 1.0
    } else if phase > 1.0 - step {
        let at = (phase - 1.0) / step;
        at * at + at + at + 1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// How often the left channel goes from below to above zero.
    fn rises(samples: &[i16]) -> usize {
        let left: Vec<i16> = samples.iter().step_by(CHANNELS).copied().filter(|sample| *sample != 0).collect();
        left.windows(2).filter(|pair| pair[0] < 0 && pair[1] > 0).count()
    }

    fn blocks(speaker: &mut Speaker, start: Instant, count: u32) -> Vec<i16> {
        (0..count).flat_map(|index| speaker.block(start + BLOCK * index)).collect()
    }

    #[test]
    fn a_tone_has_its_frequency_and_its_length() {
        let start = Instant::now();
        let mut speaker = Speaker::default();
        speaker.set(start + Duration::from_millis(5), Some(880.0));
        speaker.set(start + Duration::from_millis(205), None);
        assert!(speaker.is_sounding());
        let samples = blocks(&mut speaker, start, 30);
        assert!(!speaker.is_sounding());
        assert!((rises(&samples) as i64 - 176).abs() <= 1, "{}", rises(&samples));
        let sounding = samples.iter().step_by(CHANNELS).filter(|sample| **sample != 0).count();
        assert!((sounding as i64 - 9600).abs() < 100, "{sounding} frames");
        assert!(samples[..400].iter().all(|sample| *sample == 0), "it begins when it should");
        assert!(samples.iter().all(|sample| sample.unsigned_abs() < 9000));
    }

    #[test]
    fn what_cannot_be_heard_is_silent() {
        let start = Instant::now();
        let mut speaker = Speaker::default();
        speaker.set(start, Some(1_193_182.0));
        assert!(speaker.block(start).iter().all(|sample| *sample == 0));
    }

    #[test]
    fn a_listener_hears_a_beep_and_nothing_when_nothing_sounds() {
        let mixer = Mixer::spawn().unwrap();
        let (heard, blocks) = mpsc::channel();
        let _listening = mixer.listen(Box::new(move |samples| heard.send(samples.to_vec()).is_ok()));
        let mut speaker = mixer.speaker();
        speaker(Some(440.0));
        let first = blocks.recv_timeout(PATIENCE).unwrap();
        assert_eq!(first.len(), BLOCK_FRAMES * CHANNELS);
        speaker(None);
        while blocks.recv_timeout(BLOCK * 20).is_ok() {}
        speaker(Some(440.0));
        assert!(blocks.recv_timeout(PATIENCE).is_ok(), "it wakes up again");
    }

    #[test]
    fn who_wants_no_more_is_not_asked_again() {
        let mixer = Mixer::spawn().unwrap();
        let (heard, blocks) = mpsc::channel();
        let _listening = mixer.listen(Box::new(move |_| {
            let _ = heard.send(());
            false
        }));
        mixer.speaker()(Some(440.0));
        blocks.recv_timeout(PATIENCE).unwrap();
        assert_eq!(blocks.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected), "it was dropped");
    }

    #[test]
    fn who_has_gone_hears_nothing_more() {
        let mixer = Mixer::spawn().unwrap();
        let (heard, blocks) = mpsc::channel();
        let listening = mixer.listen(Box::new(move |_| heard.send(()).is_ok()));
        mixer.speaker()(Some(440.0));
        blocks.recv_timeout(PATIENCE).unwrap();
        drop(listening);
        let _rest: Vec<()> = blocks.try_iter().collect();
        assert_eq!(blocks.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn before_each_block_the_source_is_asked_and_one_that_stands_still_is_silent() {
        let mixer = Mixer::spawn().unwrap();
        let (heard, blocks) = mpsc::channel();
        let _listening = mixer.listen(Box::new(move |samples| heard.send(samples.to_vec()).is_ok()));
        let still = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (stands, mut speaker) = (still.clone(), mixer.speaker());
        // As a guest does that sets another frequency while the speaker is on.
        mixer.refresh(Box::new(move || {
            speaker(Some(1000.0));
            !stands.load(std::sync::atomic::Ordering::Relaxed)
        }));
        mixer.speaker()(Some(440.0));
        let mut last = Vec::new();
        for _ in 0..10 {
            last = blocks.recv_timeout(PATIENCE).unwrap();
        }
        assert!((rises(&last) as i64 - 10).abs() <= 1, "{} in a block of 10 ms", rises(&last));
        still.store(true, std::sync::atomic::Ordering::Relaxed);
        while blocks.recv_timeout(STILL_CHECK * 5).is_ok() {}
        still.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(blocks.recv_timeout(PATIENCE).is_ok(), "it goes on");
    }
}
