//! The checksum of dumps: CRC-64 with the polynomial of David Jones, bits reflected, starting
//! from zero, nothing added at the end ("CRC-64/REDIS"); that of `123456789` is
//! `e9c6d914c4b8d9ca`.
//!
//! Eight bytes go at a time ("slicing by eight"): table `n` tells what a byte does to the sum once
//! `n` more bytes have followed.

/// The polynomial, its bits reflected.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut number = 1;
    while number < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[number - 1][byte];
            tables[number][byte] = tables[0][(before & 0xff) as usize] ^ before >> 8;
            byte += 1;
        }
        number += 1;
    }
    tables
}

/// The checksum of some bytes.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = 0;
    for word in words {
        let mixed = (sum ^ u64::from_le_bytes(*word)).to_le_bytes();
        sum = mixed
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
    }
    rest.iter().fold(sum, |sum, byte| TABLES[0][usize::from(sum as u8 ^ byte)] ^ sum >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn words_and_bytes_agree() {
        let bytes: Vec<u8> = (0..100).map(|place| (place * 37) as u8).collect();
        for length in 0..bytes.len() {
            let slowly = bytes[..length].iter().fold(0, |sum: u64, byte| {
                (0..8).fold(sum ^ u64::from(*byte), |sum, _| {
                    if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 }
                })
            });
            assert_eq!(checksum(&bytes[..length]), slowly);
        }
    }
}
