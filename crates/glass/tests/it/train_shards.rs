//! llm.c's shards of ids: recognised by their header, and refused if it is another.

use std::fs;

use glass::train::ids::Width;
use glass::train::llm_c;
use glass::train::shards;

use crate::scratch::Scratch;

/// A header with these first words, followed by ids.
fn file(words: [u32; 3], ids: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(1024, 0);
    [&bytes, ids].concat()
}

#[test]
fn a_header_tells_the_width_and_is_no_ids() {
    let folder = Scratch::new("llm-c-shards");
    let path = folder.path().join("a.bin");
    for (words, width, body) in [
        ([20_240_520, 1, 2], Width::U16, &[1, 0, 44, 1][..]),
        ([20_240_801, 7, 2], Width::U32, &[1, 0, 0, 0, 44, 1, 0, 0]),
    ] {
        fs::write(&path, file(words, body)).unwrap();
        assert_eq!(llm_c::width(&path).unwrap(), Some(width));
        let (ids, remarks) = shards::read(std::slice::from_ref(&path), width, 301).unwrap();
        let mut read = Vec::new();
        ids.copy(0..ids.len(), &mut read);
        assert_eq!((read, remarks.len()), (vec![1, 300], 1));
    }
    for raw in [&[][..], &[1, 0], &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]] {
        fs::write(&path, raw).unwrap();
        assert_eq!(llm_c::width(&path).unwrap(), None);
    }
}

#[test]
fn other_headers_are_refused_by_name() {
    let folder = Scratch::new("llm-c-others");
    let path = folder.path().join("a.bin");
    let two = [1, 0, 2, 0];
    for (bytes, named) in [
        (file([20_240_520, 1, 3], &two), "3 ids in u16, 1030 bytes in all, but it has 1028"),
        (file([20_240_520, 1, u32::MAX], &two), "4294967295 ids"),
        (file([20_240_520, 7, 2], &two), "version 7; 1 was expected"),
        (file([20_240_801, 7, 1], &two), "llm.c's for u32, but `bin` is u16"),
        (file([20_240_520, 1, 2], &two)[..1000].to_vec(), "cut short"),
        (file([20_240_326, 3, 2], &two), "a checkpoint"),
        (file([20_240_522, 1, 2], &two), "multiple-choice"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = shards::read(std::slice::from_ref(&path), Width::U16, 300).unwrap_err().to_string();
        assert!(error.contains("a.bin") && error.contains(named), "{error:?} does not say {named:?}");
    }
}
