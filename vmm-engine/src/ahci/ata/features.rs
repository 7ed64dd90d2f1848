//! What a host can set on a disk drive: SET FEATURES, SET MULTIPLE MODE, INITIALIZE DEVICE PARAMETERS (ATA8-ACS,
//! section 7), and which of it a COMRESET leaves alone (Serial ATA 3.0, section 13.5).

use serde::{Deserialize, Serialize};

use super::{HostFis, MULTIPLE_MAX, address::Translation, identify::Geometry};

/// SET FEATURES subcommands.
const ENABLE_WRITE_CACHE: u8 = 0x02;
const SET_TRANSFER_MODE: u8 = 0x03;
const ENABLE_SATA_FEATURE: u8 = 0x10;
const DISABLE_LOOK_AHEAD: u8 = 0x55;
const DISABLE_REVERT: u8 = 0x66;
const DISABLE_WRITE_CACHE: u8 = 0x82;
const DISABLE_SATA_FEATURE: u8 = 0x90;
const ENABLE_LOOK_AHEAD: u8 = 0xaa;
const ENABLE_REVERT: u8 = 0xcc;

/// Serial ATA feature: software settings preservation.
const SETTINGS_PRESERVATION: u8 = 0x06;

/// The fastest modes (IDENTIFY DEVICE, words 63 and 88).
const MULTIWORD_DMA_MAX: u8 = 2;
const ULTRA_DMA_MAX: u8 = 6;

/// The transfer mode. On a serial cable it changes nothing but what IDENTIFY tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ahci) enum TransferMode {
    Pio,
    MultiwordDma(u8),
    UltraDma(u8),
}

impl Default for TransferMode {
    /// The fastest, as after power-on.
    fn default() -> Self {
        TransferMode::UltraDma(ULTRA_DMA_MAX)
    }
}

impl TransferMode {
    /// The mode that a sector count register names in SET FEATURES, if a drive has it.
    pub(in crate::ahci) fn of(count: u8) -> Option<Self> {
        let mode = count & 7;
        match count >> 3 {
            0 if mode <= 1 => Some(TransferMode::Pio),
            1 if mode <= 4 => Some(TransferMode::Pio),
            4 if mode <= MULTIWORD_DMA_MAX => Some(TransferMode::MultiwordDma(mode)),
            8 if mode <= ULTRA_DMA_MAX => Some(TransferMode::UltraDma(mode)),
            _ => None,
        }
    }

    /// Words 63 and 88 of IDENTIFY: supported modes, and the selected one.
    pub(in crate::ahci) fn words(self) -> (u16, u16) {
        match self {
            TransferMode::Pio => (0x07, 0x7f),
            TransferMode::MultiwordDma(mode) => (0x07 | 0x100 << mode, 0x7f),
            TransferMode::UltraDma(mode) => (0x07, 0x7f | 0x100 << mode),
        }
    }

    pub(in crate::ahci) fn is_possible(self) -> bool {
        match self {
            TransferMode::Pio => true,
            TransferMode::MultiwordDma(mode) => mode <= MULTIWORD_DMA_MAX,
            TransferMode::UltraDma(mode) => mode <= ULTRA_DMA_MAX,
        }
    }
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) write_cache: bool,
    pub(super) look_ahead: bool,
    pub(super) smart: bool,
    /// Sectors of a DRQ block in READ and WRITE MULTIPLE; zero while these are disabled.
    pub(super) multiple: u8,
    pub(super) transfer_mode: TransferMode,
    pub(super) translation: Translation,
    /// Settings outlive a COMRESET.
    pub(super) preserved: bool,
    /// Settings don't outlive a reset, whatever `preserved` says.
    reverts: bool,
}

impl Settings {
    pub(super) fn power_on(geometry: &Geometry) -> Self {
        Settings {
            write_cache: true,
            look_ahead: true,
            smart: true,
            multiple: MULTIPLE_MAX,
            transfer_mode: TransferMode::default(),
            translation: geometry.translation,
            preserved: true,
            reverts: false,
        }
    }

    pub(super) fn after_comreset(&mut self, geometry: &Geometry) {
        if self.reverts || !self.preserved {
            *self = Settings { smart: self.smart, ..Settings::power_on(geometry) };
        }
    }

    /// SET FEATURES. Whether the drive has the feature.
    pub(super) fn set(&mut self, fis: &HostFis) -> bool {
        let count = fis.count as u8;
        match fis.features as u8 {
            ENABLE_WRITE_CACHE => self.write_cache = true,
            DISABLE_WRITE_CACHE => self.write_cache = false,
            ENABLE_LOOK_AHEAD => self.look_ahead = true,
            DISABLE_LOOK_AHEAD => self.look_ahead = false,
            ENABLE_REVERT => self.reverts = true,
            DISABLE_REVERT => self.reverts = false,
            ENABLE_SATA_FEATURE if count == SETTINGS_PRESERVATION => self.preserved = true,
            DISABLE_SATA_FEATURE if count == SETTINGS_PRESERVATION => self.preserved = false,
            SET_TRANSFER_MODE => match TransferMode::of(count) {
                Some(mode) => self.transfer_mode = mode,
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// SET MULTIPLE MODE. Whether the drive can do so many.
    pub(super) fn set_multiple(&mut self, sectors: u8) -> bool {
        let possible = sectors == 0 || sectors.is_power_of_two() && sectors <= MULTIPLE_MAX;
        if possible {
            self.multiple = sectors;
        }
        possible
    }

    /// INITIALIZE DEVICE PARAMETERS: sectors a track in the count, the highest head in the device register.
    pub(super) fn set_translation(&mut self, fis: &HostFis) -> bool {
        let translation = Translation { heads: (fis.device & 0xf) + 1, sectors: fis.count as u8 };
        let possible = (1..=63).contains(&translation.sectors);
        if possible {
            self.translation = translation;
        }
        possible
    }
}

/// The settings' saved form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ahci) struct SavedSettings {
    write_cache: bool,
    look_ahead: bool,
    smart: bool,
    multiple: u8,
    transfer_mode: TransferMode,
    heads: u8,
    sectors_per_track: u8,
    preserved: bool,
    reverts: bool,
}

impl Settings {
    pub(super) fn save(&self) -> SavedSettings {
        SavedSettings {
            write_cache: self.write_cache,
            look_ahead: self.look_ahead,
            smart: self.smart,
            multiple: self.multiple,
            transfer_mode: self.transfer_mode,
            heads: self.translation.heads,
            sectors_per_track: self.translation.sectors,
            preserved: self.preserved,
            reverts: self.reverts,
        }
    }

    pub(super) fn restored(saved: &SavedSettings) -> Option<Self> {
        let possible = (saved.multiple == 0 || saved.multiple.is_power_of_two() && saved.multiple <= MULTIPLE_MAX)
            && (1..=16).contains(&saved.heads)
            && (1..=63).contains(&saved.sectors_per_track)
            && saved.transfer_mode.is_possible();
        possible.then_some(Settings {
            write_cache: saved.write_cache,
            look_ahead: saved.look_ahead,
            smart: saved.smart,
            multiple: saved.multiple,
            transfer_mode: saved.transfer_mode,
            translation: Translation { heads: saved.heads, sectors: saved.sectors_per_track },
            preserved: saved.preserved,
            reverts: saved.reverts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::power_on(&Geometry::of(1 << 20))
    }

    fn fis(features: u16, count: u16) -> HostFis {
        HostFis { is_command: true, command: 0xef, features, lba: 0, device: 0, count, control: 0 }
    }

    #[test]
    fn transfer_modes_are_those_of_the_standard() {
        let mut settings = settings();
        assert!(settings.set(&fis(0x03, 0x22)) && settings.transfer_mode.words() == (0x0407, 0x7f));
        assert!(settings.set(&fis(0x03, 0x45)) && settings.transfer_mode.words() == (0x07, 0x207f));
        assert!(settings.set(&fis(0x03, 0x0c)) && settings.transfer_mode.words() == (0x07, 0x7f));
        assert!(!settings.set(&fis(0x03, 0x47)) && !settings.set(&fis(0x03, 0x0d)) && !settings.set(&fis(0x05, 0x80)));
    }

    #[test]
    fn a_comreset_keeps_settings_unless_told_otherwise() {
        let geometry = Geometry::of(1 << 20);
        let mut settings = settings();
        settings.set(&fis(0x82, 0));
        settings.after_comreset(&geometry);
        assert!(!settings.write_cache);
        settings.set(&fis(0x90, 6));
        settings.after_comreset(&geometry);
        assert!(settings.write_cache && settings.preserved);
    }

    #[test]
    fn blocks_of_several_sectors_are_powers_of_two() {
        let mut settings = settings();
        assert!(settings.set_multiple(8) && settings.set_multiple(0));
        assert!(!settings.set_multiple(3) && !settings.set_multiple(32));
        assert_eq!(settings.multiple, 0);
    }
}
