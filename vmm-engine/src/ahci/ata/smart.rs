//! SMART (ATA8-ACS, section 7.53): a drive that never sees its own end coming. Self-tests succeed at once.

use super::{
    HostFis,
    logs::set_checksum,
    {TaskFile, status},
};

/// LBA 23:8 of each SMART command, and what RETURN STATUS puts there while the drive is well.
const KEY: u64 = 0xc2_4f00;

/// Subcommands, in the features.
const READ_DATA: u8 = 0xd0;
const READ_THRESHOLDS: u8 = 0xd1;
const ATTRIBUTE_AUTOSAVE: u8 = 0xd2;
const SAVE_ATTRIBUTES: u8 = 0xd3;
const EXECUTE_OFFLINE_IMMEDIATE: u8 = 0xd4;
const READ_LOG: u8 = 0xd5;
const ENABLE_OPERATIONS: u8 = 0xd8;
const DISABLE_OPERATIONS: u8 = 0xd9;
const RETURN_STATUS: u8 = 0xda;

/// SMART logs: directory, summary error log, self-test log.
const LOG_DIRECTORY: u8 = 0x00;
const LOG_ERRORS: u8 = 0x01;
const LOG_SELF_TESTS: u8 = 0x06;

pub(super) enum Answer {
    Data(Vec<u8>),
    Registers(TaskFile),
    /// Make everything durable, then say it is done.
    Flush,
    Abort,
}

/// Executes a SMART command; `enabled` is whether SMART operations are.
pub(super) fn execute(fis: &HostFis, enabled: &mut bool) -> Answer {
    let subcommand = fis.features as u8;
    if fis.lba & 0xff_ff00 != KEY || !*enabled && subcommand != ENABLE_OPERATIONS {
        return Answer::Abort;
    }
    match subcommand {
        READ_DATA => Answer::Data(data()),
        READ_THRESHOLDS => Answer::Data(page(&[0x10, 0])),
        READ_LOG if fis.count as u8 == 1 => match fis.lba as u8 {
            LOG_DIRECTORY => {
                let mut directory = vec![0; 512];
                directory[0] = 1;
                directory[2 * usize::from(LOG_ERRORS)] = 1;
                directory[2 * usize::from(LOG_SELF_TESTS)] = 1;
                Answer::Data(directory)
            }
            LOG_ERRORS | LOG_SELF_TESTS => Answer::Data(page(&[1, 0])),
            _ => Answer::Abort,
        },
        ATTRIBUTE_AUTOSAVE => Answer::Registers(TaskFile::DONE),
        SAVE_ATTRIBUTES => Answer::Flush,
        EXECUTE_OFFLINE_IMMEDIATE => match fis.lba as u8 {
            // Off-line data collection, short and extended self-test, and the latter two in captive mode.
            0..=2 | 0x81 | 0x82 => Answer::Registers(TaskFile { lba: KEY, ..TaskFile::DONE }),
            0x7f => Answer::Registers(TaskFile::DONE),
            _ => Answer::Abort,
        },
        ENABLE_OPERATIONS | DISABLE_OPERATIONS => {
            *enabled = subcommand == ENABLE_OPERATIONS;
            Answer::Registers(TaskFile::DONE)
        }
        RETURN_STATUS => Answer::Registers(TaskFile { status: status::READY, lba: KEY, ..TaskFile::DONE }),
        _ => Answer::Abort,
    }
}

fn page(start: &[u8]) -> Vec<u8> {
    let mut page = vec![0; 512];
    page[..start.len()].copy_from_slice(start);
    set_checksum(&mut page);
    page
}

/// The SMART data structure, without attributes.
fn data() -> Vec<u8> {
    let mut data = page(&[0x10, 0]);
    // Off-line data collection is never started; the last self-test succeeded.
    data[362] = 0;
    data[363] = 0;
    // Off-line immediate and self-tests exist; attributes are saved; errors are logged.
    data[367] = 0x11;
    data[368] = 0x03;
    data[370] = 0x01;
    // Minutes to wait for a short and an extended self-test.
    data[372] = 1;
    data[373] = 1;
    set_checksum(&mut data);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fis(features: u16, lba: u64) -> HostFis {
        HostFis { is_command: true, command: 0xb0, features, lba, device: 0, count: 1, control: 0 }
    }

    #[test]
    fn a_healthy_drive_says_so() {
        let mut enabled = true;
        let answer = execute(&fis(0xda, KEY), &mut enabled);
        assert!(matches!(answer, Answer::Registers(TaskFile { lba: KEY, error: 0, .. })));
        let Answer::Data(data) = execute(&fis(0xd0, KEY), &mut enabled) else { panic!("no data") };
        assert_eq!(data.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)), 0);
    }

    #[test]
    fn without_the_key_or_while_disabled_it_aborts() {
        let mut enabled = true;
        assert!(matches!(execute(&fis(0xda, 0), &mut enabled), Answer::Abort));
        execute(&fis(0xd9, KEY), &mut enabled);
        assert!(matches!(execute(&fis(0xda, KEY), &mut enabled), Answer::Abort));
        execute(&fis(0xd8, KEY), &mut enabled);
        assert!(matches!(execute(&fis(0xda, KEY), &mut enabled), Answer::Registers(_)));
    }
}
