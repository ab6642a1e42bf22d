//! The macro that turns the one table of settings into everything that is known about them.
//!
//! ```text
//!  /// what it is                                                   ┌─▶ struct Config, its defaults
//!  "port" port: u16 = 6379, [0, 65_535] "", Restart;  ─ settings! ─┤
//!   name  field type  default  bounds  unit  reach                 └─▶ SETTINGS: file, variables,
//!                                                                      flags, CONFIG, documentation
//! ```

/// Declares the settings: see the drawing above, and `table.rs` for the only use.
macro_rules! settings {
    ($(
        $section:ident {
            $(
                $(#[doc = $help:literal])+
                $name:literal $field:ident : $type:ty = $default:expr,
                $([$least:expr, $most:expr] $unit:literal,)?
                $reach:ident;
            )*
        }
    )*) => {
        /// The settings of a server. [`Config::default`] is what holds if nothing is said.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(
                $(#[doc = $help])+
                pub $field: $type,
            )*)*
            /// Where the settings that are not at their defaults were given.
            pub(super) origins: Origins,
        }

        impl Default for Config {
            fn default() -> Config {
                Config { $($($field: $default,)*)* origins: Origins::default() }
            }
        }

        /// All settings, in the order of the documentation.
        pub static SETTINGS: &[Setting] = &[$($(
            Setting {
                name: $name,
                help: concat!($($help),+).trim_ascii(),
                section: Section::$section,
                unit: concat!($($unit)?),
                bounds: bounds!($($least, $most)?),
                reach: Reach::$reach,
                shape: <$type as Kind>::SHAPE,
                choices: <$type as Kind>::CHOICES,
                secrecy: <$type as Kind>::SECRECY,
                bound: <$type as Kind>::bound,
                parse: |config, text, bounds| {
                    config.$field = <$type as Kind>::parse(text, bounds)?;
                    Ok(())
                },
                amend: |config, text, bounds| {
                    config.$field = config.$field.amend(text, bounds)?;
                    Ok(())
                },
                read: |config, written, bounds| {
                    config.$field = <$type as Kind>::read(written, bounds)?;
                    Ok(())
                },
                show: |config| config.$field.show(),
                literal: |config| config.$field.literal(),
                same: |one, other| one.$field == other.$field,
            },
        )*)*];

        #[cfg(test)]
        pub(super) const FIELDS: &[&str] = &[$($(stringify!($field),)*)*];
    };
}

/// Bounds, if there are any.
macro_rules! bounds {
    () => {
        None
    };
    ($least:expr, $most:expr) => {
        Some(Bounds { least: $least, most: $most })
    };
}

/// Declares an enumeration whose variants are written as words.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident {
            $($(#[$inner:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$inner])* $variant,)+
        }

        impl $type {
            /// The word that means this.
            pub fn word(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)+
                }
            }

            /// What a word means, whatever its case.
            pub fn from_word(word: &str) -> Option<$type> {
                $(if word.eq_ignore_ascii_case($word) {
                    return Some($type::$variant);
                })+
                None
            }

            /// The words.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }
    };
}

pub(super) use {bounds, settings, words};
