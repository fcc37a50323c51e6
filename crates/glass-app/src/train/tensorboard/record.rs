//! TFRecord: a file of records, each `length: u64`, `masked CRC of the length: u32`, `data`, `masked CRC of the data: u32`,
//! little-endian.
//!
//! After TensorFlow's `lib/io/record_writer.h` and `lib/hash/crc32c.h`; CRC-32C (Castagnoli) as in RFC 3720, B.4.

use std::io::{self, BufReader, Read};

/// The CRC of every byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc: u32, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

/// Rotated and offset, since the CRC of data that contains its own CRC is constant.
fn masked(data: &[u8]) -> [u8; 4] {
    crc(data).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// A record.
pub fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// Reads complete and undamaged records while `keep` returns true; returns where the last of them ends.
pub fn read(file: impl Read, mut keep: impl FnMut(&[u8]) -> bool) -> io::Result<u64> {
    let mut file = BufReader::new(file);
    let (mut end, mut record) = (0, Vec::new());
    loop {
        take(&mut file, 12, &mut record)?;
        let Some((length, rest)) = record.split_first_chunk::<8>() else { return Ok(end) };
        if *rest != masked(length) {
            return Ok(end);
        }
        let length = u64::from_le_bytes(*length);
        take(&mut file, length.saturating_add(4), &mut record)?;
        let Some((data, after)) = record.split_last_chunk::<4>() else { return Ok(end) };
        if data.len() as u64 != length || *after != masked(data) || !keep(data) {
            return Ok(end);
        }
        end += 16 + length;
    }
}

/// The next `count` bytes, or as many as there are.
fn take(file: &mut impl Read, count: u64, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    file.by_ref().take(count).read_to_end(into).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4, and the check value of the CRC catalogue.
    #[test]
    fn crcs_are_those_of_the_standard() {
        let rising: Vec<u8> = (0..32).collect();
        let known: [(&[u8], u32); 5] = [
            (&[0; 32], 0x8A91_36AA),
            (&[0xFF; 32], 0x62A8_AB43),
            (&rising, 0x46DD_794E),
            (b"123456789", 0xE306_9283),
            (b"", 0),
        ];
        known.iter().for_each(|(data, known)| assert_eq!(crc(data), *known, "{data:?}"));
    }

    #[test]
    fn records_are_read_back_up_to_the_damage() {
        let whole = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let count = |bytes: &[u8]| {
            let mut count = 0;
            let end = read(bytes, |_| {
                count += 1;
                true
            });
            (count, end.unwrap())
        };
        assert_eq!(count(&whole), (3, whole.len() as u64));
        assert_eq!(count(&whole[..whole.len() - 1]), (2, 35));
        for at in 0..19 {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            assert_eq!(count(&damaged), (0, 0), "byte {at}");
        }
    }
}
