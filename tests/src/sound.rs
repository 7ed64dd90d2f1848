//! A sound server without a sound card, to hear what a window plays.

use std::ffi::OsString;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::wait::wait_until;

/// How long the server may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Samples a second of what is heard.
pub const RATE: usize = 48_000;
/// What is quieter than this is silence.
const SILENCE: u16 = 300;

/// A PulseAudio server that listens to itself; it ends with the value.
pub struct SoundServer {
    dir: TempDir,
    server: Child,
    recorder: Child,
}

/// A stretch of sound between two silences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    /// How long it lasts, in seconds.
    pub seconds: f64,
    /// How often it goes from below to above zero in a second, mostly.
    pub hertz: f64,
}

impl SoundServer {
    /// Starts one, with a card that takes 48,000 samples a second.
    ///
    /// # Errors
    /// It does not start.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("sound").tempdir()?;
        let socket = dir.path().join("native");
        let mut server = Command::new("pulseaudio");
        server.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm", "--use-pid-file=no"]);
        server.arg("-L").arg(format!("module-null-sink sink_name=card rate={RATE} channels=2 format=s16le"));
        server.arg("-L").arg(format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()));
        server.env("HOME", dir.path()).env("XDG_RUNTIME_DIR", dir.path()).env("PULSE_RUNTIME_PATH", dir.path());
        let log = File::create(dir.path().join("log"))?;
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let server = server.spawn().context("can't run pulseaudio")?;
        // All programs' usual card is the server.
        let config = "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n";
        fs::write(dir.path().join("alsa.conf"), config)?;
        let at = format!("unix:{}", socket.display());
        let listening = || {
            let said =
                Command::new("pactl").env("PULSE_SERVER", &at).args(["info"]).output().context("can't run pactl")?;
            Ok(said.status.success().then_some(()))
        };
        wait_until("the sound server", PATIENCE, listening)?;
        let heard = File::create(dir.path().join("heard"))?;
        let mut recorder = Command::new("parec");
        recorder.args(["--device=card.monitor", "--raw", "--format=s16le", "--channels=1", "--latency-msec=20"]);
        recorder.arg(format!("--rate={RATE}")).env("PULSE_SERVER", &at);
        let recorder = recorder.stdin(Stdio::null()).stdout(heard).spawn().context("can't run parec")?;
        let sound = SoundServer { dir, server, recorder };
        // It has begun when silence arrives.
        wait_until("the recorder", PATIENCE, || Ok((!sound.heard()?.is_empty()).then_some(())))?;
        Ok(sound)
    }

    /// What a program's surroundings have to be for it to be heard.
    #[must_use]
    pub fn surroundings(&self) -> Vec<(&'static str, OsString)> {
        let socket = format!("unix:{}", self.dir.path().join("native").display());
        vec![("PULSE_SERVER", socket.into()), ("ALSA_CONFIG_PATH", self.dir.path().join("alsa.conf").into())]
    }

    /// All that was heard: samples for one ear, [`RATE`] a second.
    ///
    /// # Errors
    /// It can't be read.
    pub fn heard(&self) -> Result<Vec<i16>> {
        let bytes = fs::read(self.dir.path().join("heard"))?;
        Ok(bytes.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect())
    }

    /// Whether nothing was heard for the last quarter of a second.
    ///
    /// # Errors
    /// What was heard can't be read.
    pub fn is_silent(&self) -> Result<bool> {
        let heard = self.heard()?;
        let last = heard.iter().rev().take(RATE / 4);
        Ok(heard.len() >= RATE / 4 && last.clone().all(|sample| sample.unsigned_abs() <= SILENCE))
    }

    /// The tones that were heard and have ended, those of at least a twentieth of a second.
    ///
    /// # Errors
    /// What was heard can't be read.
    pub fn tones(&self) -> Result<Vec<Tone>> {
        Ok(tones(&self.heard()?))
    }
}

fn tones(samples: &[i16]) -> Vec<Tone> {
    // A busy host leaves gaps in a tone; it ends where a tenth of a second is silent.
    const GAP: usize = RATE / 10;
    let mut tones = Vec::new();
    let mut start = None;
    let mut last = 0;
    for (index, sample) in samples.iter().enumerate() {
        if sample.unsigned_abs() > SILENCE {
            start.get_or_insert(index);
            last = index;
        } else if index - last > GAP
            && let Some(start) = start.take()
        {
            tones.push(&samples[start..=last]);
        }
    }
    let tones = tones.into_iter().filter(|samples| samples.len() >= RATE / 20);
    tones
        .filter_map(|samples| Some(Tone { seconds: samples.len() as f64 / RATE as f64, hertz: hertz(samples)? }))
        .collect()
}

/// The frequency that most of it has.
fn hertz(samples: &[i16]) -> Option<f64> {
    let pairs = samples.windows(2).enumerate();
    let rises: Vec<usize> = pairs.filter(|(_, pair)| pair[0] < 0 && pair[1] >= 0).map(|(index, _)| index).collect();
    // Over many periods, since one is no whole number of samples.
    const PERIODS: usize = 16;
    let mut spans: Vec<usize> = rises.windows(PERIODS + 1).map(|rises| rises[PERIODS] - rises[0]).collect();
    spans.sort_unstable();
    Some((PERIODS * RATE) as f64 / *spans.get(spans.len() / 2)? as f64)
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        for child in [&mut self.recorder, &mut self.server] {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_between_silences_is_measured() {
        let silence = std::iter::repeat_n(0, RATE / 5);
        let wave = (0..RATE / 5).map(|index| if (index * 440 * 2 / RATE).is_multiple_of(2) { -5000 } else { 5000 });
        let samples: Vec<i16> = silence.clone().chain(wave).chain(silence).collect();
        let [tone] = tones(&samples)[..] else { panic!("one tone") };
        assert!((tone.seconds - 0.2).abs() < 0.01 && (tone.hertz - 440.0).abs() < 8.0, "{tone:?}");
    }
}
