//! phonefile.
