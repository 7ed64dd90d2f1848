//! What fio writes to a disk in numbered steps, each of which ends with a flush; and what the disk must contain after
//! some of them.
//!
//! Steps are made so that they meet each other: a later one overwrites parts of the clusters of an earlier one, or
//! discards them. What a step writes says which step it was and where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

/// Bytes of a block, of which every write has whole ones.
pub const BLOCK: u64 = 4096;
/// Bytes that are looked at together: a cluster of an image. What nobody wrote in it must be zero.
const CLUSTER: u64 = 64 << 10;
const SECTOR: usize = 512;

/// The disk is divided into regions; a step stays within one.
const REGION: u64 = 64 << 20;
const REGIONS: u64 = 120;
/// Bytes of the disk.
pub const DISK: u64 = REGIONS * REGION;

/// Beginning and end of what is written again and again within 16 bytes; the offset of the unit is between them.
const MARK: [u8; 4] = *b"STEP";

/// A step by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(pub u64);

/// What a step does. A unit is one request of fio's.
struct Plan {
    offset: u64,
    unit: u64,
    /// From the beginning of one unit to that of the next.
    stride: u64,
    units: u64,
    trim: bool,
    /// Requests from one flush to the next.
    per_flush: u64,
}

impl Step {
    fn plan(self) -> Plan {
        let Step(number) = self;
        let region = number * 13 % REGIONS * REGION;
        match number % 4 {
            1 => {
                let offset = region + REGION - (4 << 20);
                Plan { offset, unit: 64 << 10, stride: 64 << 10, units: 8, trim: false, per_flush: 2 }
            }
            // What an earlier step of the kind above has written
            3 if number % 8 == 7 && number > 6 => Plan { trim: true, ..Step(number - 6).plan() },
            // Over what was trimmed just before
            0 if number % 8 == 0 && number > 8 => {
                let offset = Step(number - 7).plan().offset + (number / 8 % 3) * BLOCK;
                Plan { offset, unit: 2 * BLOCK, stride: 10 * BLOCK, units: 8, trim: false, per_flush: 1 }
            }
            _ => {
                let offset = region + number / REGIONS * BLOCK % (64 << 10);
                Plan { offset, unit: BLOCK, stride: 6 << 20, units: 8, trim: false, per_flush: 3 }
            }
        }
    }

    /// Whether it discards. What it frees stays counted as used until the next flush.
    #[must_use]
    pub fn is_trim(self) -> bool {
        self.plan().trim
    }

    fn blocks(self) -> impl Iterator<Item = u64> {
        let plan = self.plan();
        let per_unit = plan.unit / BLOCK;
        (0..plan.units).flat_map(move |unit| {
            let first = (plan.offset + unit * plan.stride) / BLOCK;
            first..first + per_unit
        })
    }

    /// What it leaves in one of its blocks.
    fn content(self, block: u64) -> Vec<u8> {
        let plan = self.plan();
        if plan.trim {
            return vec![0; BLOCK as usize];
        }
        let unit = plan.offset + (block * BLOCK - plan.offset) / plan.stride * plan.stride;
        let piece = [&MARK[..], &unit.to_le_bytes(), &(self.0 as u32).to_be_bytes()].concat();
        piece.repeat(BLOCK as usize / piece.len())
    }

    fn overlaps(self, other: Step) -> bool {
        let blocks: BTreeSet<u64> = self.blocks().collect();
        other.blocks().any(|block| blocks.contains(&block))
    }

    /// A section of fio's job file that does the step on the file `disk`, flushes, and then runs `say` with the step's
    /// number.
    #[must_use]
    pub fn write_job(self, disk: &str, say: &str) -> String {
        let plan = self.plan();
        let job = self.job(&plan);
        let said = format!("{say} {}", self.0);
        if plan.trim {
            // After nothing but trims, fio sees nothing to flush
            format!("{job}rw=trim\nexec_postrun=sync --data {disk} && {said}\n")
        } else {
            let flushes = format!("do_verify=0\nfdatasync={}\nend_fsync=1\n", plan.per_flush);
            format!("{job}{}{flushes}exec_postrun={said}\n", self.content_options(&plan))
        }
    }

    /// A section that has fio verify what the step has left, with `--verify_only`.
    #[must_use]
    pub fn verify_job(self) -> String {
        let plan = self.plan();
        format!("{}{}", self.job(&plan), self.content_options(&plan))
    }

    fn job(self, plan: &Plan) -> String {
        let (number, size, bytes) = (self.0, plan.units * plan.stride, plan.units * plan.unit);
        format!("[step{number}]\nstonewall\noffset={}\nsize={size}\nio_size={bytes}\nbs={}\n", plan.offset, plan.unit)
    }

    fn content_options(self, plan: &Plan) -> String {
        let skipped = plan.stride - plan.unit;
        let kind = if skipped == 0 { "write".to_owned() } else { format!("write:{skipped}") };
        let pattern = if plan.trim { "0x00".to_owned() } else { format!("\"STEP\"%o0x{:08x}", self.0) };
        format!("rw={kind}\nverify=pattern\nverify_pattern={pattern}\n")
    }
}

/// What the disk must contain.
#[derive(Debug, Default)]
pub struct Model {
    /// By block.
    flushed: BTreeMap<u64, Vec<u8>>,
    /// The steps that are known to be done, in order.
    done: Vec<Step>,
}

impl Model {
    /// A step's flush was acknowledged.
    pub fn acknowledge(&mut self, step: Step) {
        self.flushed.extend(step.blocks().map(|block| (block, step.content(block))));
        self.done.push(step);
    }

    /// Compares the disk with what it must contain; `read` fills a buffer from an offset on. Of the steps in `attempted`
    /// any part may have been done as well; what is found of them belongs to the disk from now on.
    ///
    /// # Errors
    /// Something is different, or could not be read.
    pub fn check(
        &mut self,
        attempted: Range<u64>,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> Result<()> {
        let mut possible: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
        for step in attempted.map(Step) {
            for block in step.blocks() {
                possible.entry(block).or_default().push(step.content(block));
            }
        }
        let touched = self.flushed.keys().chain(possible.keys());
        let clusters: BTreeSet<u64> = touched.map(|block| block * BLOCK / CLUSTER).collect();
        let zeroes = vec![0; BLOCK as usize];
        let mut content = vec![0; CLUSTER as usize];
        for cluster in clusters {
            read(&mut content, cluster * CLUSTER)?;
            for (number, found) in content.chunks(BLOCK as usize).enumerate() {
                let block = cluster * CLUSTER / BLOCK + number as u64;
                let flushed = self.flushed.get(&block).unwrap_or(&zeroes);
                let possible = possible.get(&block).map_or(&[][..], Vec::as_slice);
                if found != flushed {
                    compare(found, flushed, possible).with_context(|| format!("block {block}"))?;
                    self.flushed.insert(block, found.to_vec());
                }
            }
        }
        Ok(())
    }

    /// The last steps that nothing of what was done or attempted since has changed, `before` being the next number.
    #[must_use]
    pub fn intact(&self, most: usize, before: u64) -> Vec<Step> {
        let is_intact = |step: &&Step| (step.0 + 1..before).all(|later| !Step(later).overlaps(**step));
        self.done.iter().rev().filter(is_intact).take(most).copied().collect()
    }
}

/// Makes sure that each sector of a block is as it was flushed, or as something else may have left it.
fn compare(found: &[u8], flushed: &[u8], possible: &[Vec<u8>]) -> Result<()> {
    for start in (0..found.len()).step_by(SECTOR) {
        let part = start..start + SECTOR;
        let found = &found[part.clone()];
        let allowed = found == &flushed[part.clone()] || possible.iter().any(|content| found == &content[part.clone()]);
        ensure!(allowed, "at byte {start} there is {} instead of {}", shown(found), shown(&flushed[part]));
    }
    Ok(())
}

/// The beginning of a sector, for an error.
fn shown(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) { "zeroes".to_owned() } else { format!("{:x?}", &bytes[..16]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_stays_on_the_disk_and_knows_its_blocks() {
        for step in (1..2000).map(Step) {
            let blocks: Vec<u64> = step.blocks().collect();
            assert!(blocks.iter().all(|block| (block + 1) * BLOCK <= DISK), "{step:?}");
            assert!(blocks.iter().all(|block| step.content(*block).len() == BLOCK as usize), "{step:?}");
        }
    }

    #[test]
    fn steps_discard_and_overwrite_what_others_wrote() {
        assert!(Step(15).plan().trim);
        assert!(Step(15).overlaps(Step(9)));
        assert!(Step(16).overlaps(Step(9)));
        assert!(!Step(17).overlaps(Step(9)));
        let clusters = |step: u64| Step(step).blocks().map(|block| block * BLOCK / CLUSTER).collect::<BTreeSet<_>>();
        assert_eq!(clusters(2), clusters(2 + REGIONS));
        assert!(!Step(2).overlaps(Step(2 + REGIONS)));
    }

    /// Reads a disk with nothing on it but some blocks of a step.
    fn only(step: Step, blocks: usize) -> impl Fn(&mut [u8], u64) -> io::Result<()> {
        move |buffer, offset| {
            for (number, bytes) in buffer.chunks_mut(BLOCK as usize).enumerate() {
                let block = offset / BLOCK + number as u64;
                let there = step.blocks().take(blocks).any(|known| known == block);
                bytes.copy_from_slice(&if there { step.content(block) } else { vec![0; BLOCK as usize] });
            }
            Ok(())
        }
    }

    #[test]
    fn a_block_that_was_flushed_and_is_not_there_is_found() {
        let mut model = Model::default();
        model.acknowledge(Step(1));
        model.check(2..2, only(Step(1), 1000)).unwrap();
        model.check(2..2, only(Step(1), 0)).unwrap_err();
        model.acknowledge(Step(2));
        model.check(3..3, only(Step(1), 1000)).unwrap_err();
    }

    #[test]
    fn what_was_attempted_may_be_there_or_not_and_then_stays() {
        let mut model = Model::default();
        model.check(5..6, only(Step(5), 60)).unwrap();
        model.check(6..6, only(Step(5), 60)).unwrap();
        model.check(6..6, only(Step(1), 0)).unwrap_err();
    }

    #[test]
    fn steps_that_others_changed_are_not_intact() {
        let mut model = Model::default();
        (1..=15).for_each(|step| model.acknowledge(Step(step)));
        assert_eq!(model.intact(3, 16), [Step(15), Step(14), Step(13)]);
        assert!(!model.intact(100, 16).contains(&Step(9)));
        assert!(!model.intact(100, 17).contains(&Step(15)));
    }
}
