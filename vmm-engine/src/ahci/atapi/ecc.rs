//! A whole sector of mode 1 around 2048 bytes: sync, header, EDC, and the two parity fields of the ECC (ECMA-130,
//! section 14.3 to 14.5 and annex A).

/// Bytes of a sector, and where its parts begin.
pub(super) const SECTOR: usize = 2352;
pub(super) const EDC: usize = 2064;
const P_PARITY: usize = 2076;
const Q_PARITY: usize = 2248;
/// Where the words begin that the ECC covers.
const ECC_START: usize = 12;

/// P code words: 43 columns of 24 words, each word two bytes. Q code words: 26 diagonals of 43.
const P_WORDS: usize = 43;
const P_LEN: usize = 24;
const Q_WORDS: usize = 26;
const Q_LEN: usize = 43;

/// The sector at `minutes`:seconds:frames with `user_data`, which is 2048 bytes.
pub(super) fn sector(minutes: [u8; 3], user_data: &[u8]) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[1..11].fill(0xff);
    for (byte, value) in sector[12..15].iter_mut().zip(minutes) {
        *byte = ((value / 10 % 10) << 4) | (value % 10);
    }
    sector[15] = 1;
    let len = user_data.len().min(EDC - 16);
    sector[16..16 + len].copy_from_slice(&user_data[..len]);
    let check = edc(&sector[..EDC]);
    sector[EDC..EDC + 4].copy_from_slice(&check.to_le_bytes());
    for half in 0..2 {
        for word in 0..P_WORDS {
            let at = |index: usize| ECC_START + 2 * (index * P_WORDS + word) + half;
            let parity = parity((0..P_LEN).map(|index| sector[at(index)]), P_LEN);
            sector[P_PARITY + 2 * word + half] = parity[0];
            sector[P_PARITY + 2 * (P_WORDS + word) + half] = parity[1];
        }
    }
    for half in 0..2 {
        for word in 0..Q_WORDS {
            // Diagonals go on at the top: the covered area is 26 rows of 43 words.
            let at = |index: usize| {
                let offset = (word * P_WORDS + index * (P_WORDS + 1)) % (Q_WORDS * P_WORDS);
                ECC_START + 2 * offset + half
            };
            let parity = parity((0..Q_LEN).map(|index| sector[at(index)]), Q_LEN);
            sector[Q_PARITY + 2 * word + half] = parity[0];
            sector[Q_PARITY + 2 * (Q_WORDS + word) + half] = parity[1];
        }
    }
    sector
}

/// The CRC of the EDC field: (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), least significant bit first.
fn edc(data: &[u8]) -> u32 {
    data.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 != 0 { 0xd801_8001 } else { 0 })
    })
}

/// The two parity bytes of a Reed-Solomon code over GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1: with them, the bytes add up
/// to zero, and so do the bytes times α to the power of their distance from the end.
fn parity(bytes: impl Iterator<Item = u8>, len: usize) -> [u8; 2] {
    debug_assert!(len < 255);
    let (sum, weighted) = bytes.fold((0, 0), |(sum, weighted), byte| (sum ^ byte, times_alpha(weighted) ^ byte));
    // The last data byte is two places before the end.
    let weighted = times_alpha(times_alpha(weighted));
    let first = divide_by_alpha_plus_one(sum ^ weighted);
    [first, sum ^ first]
}

fn times_alpha(value: u8) -> u8 {
    value << 1 ^ if value & 0x80 != 0 { 0x1d } else { 0 }
}

/// (α + 1) has the inverse 0xf4.
fn divide_by_alpha_plus_one(value: u8) -> u8 {
    (0..8).rev().fold(0, |product, bit| times_alpha(product) ^ if 0xf4 & 1 << bit != 0 { value } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_sector() -> [u8; SECTOR] {
        let data: Vec<u8> = (0..2048_u32).map(|index| (index * 7 + index / 13) as u8).collect();
        sector([12, 34, 56], &data)
    }

    /// Both syndromes of a code word.
    fn syndromes(word: impl Iterator<Item = u8>) -> (u8, u8) {
        word.fold((0, 0), |(sum, weighted), byte| (sum ^ byte, times_alpha(weighted) ^ byte))
    }

    #[test]
    fn the_header_is_in_decimal_and_the_mode_is_1() {
        assert_eq!(any_sector()[10..16], [0xff, 0, 0x12, 0x34, 0x56, 1]);
    }

    #[test]
    fn the_edc_makes_the_checksum_zero() {
        assert_eq!(edc(&any_sector()[..EDC + 4]), 0);
        assert_eq!(edc(&[1]), 0x9091_0101);
    }

    #[test]
    fn dividing_undoes_multiplying() {
        for value in 0..=255 {
            assert_eq!(divide_by_alpha_plus_one(times_alpha(value) ^ value), value);
        }
    }

    #[test]
    fn all_code_words_have_zero_syndromes() {
        let sector = any_sector();
        for half in 0..2 {
            for word in 0..P_WORDS {
                let column = (0..26).map(|index| sector[ECC_START + 2 * (index * P_WORDS + word) + half]);
                assert_eq!(syndromes(column), (0, 0), "P word {word}");
            }
            for word in 0..Q_WORDS {
                let diagonal = (0..43).map(|index| ECC_START + 2 * ((word * 43 + index * 44) % 1118) + half);
                let ends = [Q_PARITY + 2 * word + half, Q_PARITY + 2 * (26 + word) + half];
                assert_eq!(syndromes(diagonal.chain(ends).map(|at| sector[at])), (0, 0), "Q word {word}");
            }
        }
    }
}
