//! A file of the database: from its XML to the systems in it.
//!
//! It is read as a stream and by known elements only, with quick-xml: the database has a thousand files, most of whose
//! bytes are names in other languages, and what isn't wanted is skipped without a tree being made of it. Nothing is
//! expanded but XML's own entities, so no file can grow.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use crate::{
    Date,
    resources::Needs,
    system::{DeviceSupport, Firmware, Medium, ResourceSet, Status, System},
};

/// The longest text that is kept, in bytes.
const MAX_TEXT: usize = 4096;

/// A file isn't what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is not XML.
    #[error("it is not well-formed XML")]
    Xml(#[source] quick_xml::Error),
    /// It ends within an element.
    #[error("it ends before its elements do")]
    Unfinished,
    /// It is XML, and no database.
    #[error("its outermost element is not 'libosinfo'")]
    Other,
    /// A text that no file of the database has.
    #[error("a text in it is longer than {MAX_TEXT} bytes")]
    LongText,
}

type Result<T> = std::result::Result<T, ParseError>;

/// The systems in a file. A system may be completed by other files.
pub(crate) fn systems(file: &[u8]) -> Result<Vec<System>> {
    let mut parser = Parser::new(file);
    let mut systems = Vec::new();
    loop {
        match parser.next()? {
            Step::Start(element) if element.name() == b"libosinfo" => break,
            Step::Text(text) if text.trim().is_empty() => {}
            Step::Start(_) | Step::Text(_) | Step::End => return Err(ParseError::Other),
            Step::Eof => return Err(ParseError::Unfinished),
        }
    }
    parser.children(|parser, element| match element.name() {
        b"os" => {
            let system = system(parser, &element)?;
            if !system.id.is_empty() {
                systems.push(system);
            }
            Ok(())
        }
        _ => parser.skip(&element),
    })?;
    Ok(systems)
}

fn system(parser: &mut Parser<'_>, element: &Element<'_>) -> Result<System> {
    let mut system = System { id: element.attribute("id")?, ..System::default() };
    parser.children(|parser, child| {
        // Other languages' names.
        if child.has("xml:lang")? {
            return parser.skip(&child);
        }
        match child.name() {
            b"short-id" => system.short_ids.push(parser.text()?),
            b"name" => system.name = parser.text()?,
            b"vendor" => system.vendor = parser.some_text()?,
            b"version" => system.version = parser.some_text()?,
            b"codename" => system.codename = parser.some_text()?,
            b"family" => system.family = parser.some_text()?,
            b"distro" => system.distro = parser.some_text()?,
            b"release-date" => system.release_date = parser.date()?,
            b"eol-date" => system.end_of_life = parser.date()?,
            b"release-status" => {
                system.status = match parser.text()?.as_str() {
                    "prerelease" => Status::Prerelease,
                    "snapshot" => Status::Snapshot,
                    "rolling" => Status::Rolling,
                    _ => Status::Released,
                }
            }
            b"upgrades" => system.upgrades.push(parser.id_of(&child)?),
            b"derives-from" => system.derives_from.push(parser.id_of(&child)?),
            b"clones" => system.clones = Some(parser.id_of(&child)?),
            b"resources" => system.resources.push(resource_set(parser, &child)?),
            b"media" => system.media.push(medium(parser, &child)?),
            b"devices" => devices(parser, &mut system.devices)?,
            b"firmware" => {
                let supported = child.flag("supported", true)?;
                let (arch, kind) = (child.attribute("arch")?, child.attribute("type")?);
                system.firmware.push(Firmware { arch, kind, supported });
                parser.skip(&child)?;
            }
            _ => parser.skip(&child)?,
        }
        Ok(())
    })?;
    Ok(system)
}

fn resource_set(parser: &mut Parser<'_>, element: &Element<'_>) -> Result<ResourceSet> {
    let mut set = ResourceSet {
        arch: element.attribute("arch")?,
        inherit: element.flag("inherit", false)?,
        ..ResourceSet::default()
    };
    parser.children(|parser, child| {
        let needs = match child.name() {
            b"minimum" => &mut set.minimum,
            b"recommended" => &mut set.recommended,
            b"maximum" => &mut set.maximum,
            _ => return parser.skip(&child),
        };
        *needs = self::needs(parser)?;
        Ok(())
    })?;
    Ok(set)
}

fn needs(parser: &mut Parser<'_>) -> Result<Needs> {
    let mut needs = Needs::default();
    parser.children(|parser, child| {
        let place = match child.name() {
            b"ram" => &mut needs.memory_bytes,
            b"storage" => &mut needs.storage_bytes,
            b"cpu" => &mut needs.cpu_hz,
            b"n-cpus" => {
                needs.cpus = parser.text()?.parse().ok();
                return Ok(());
            }
            _ => return parser.skip(&child),
        };
        *place = parser.text()?.parse().ok();
        Ok(())
    })?;
    Ok(needs)
}

fn medium(parser: &mut Parser<'_>, element: &Element<'_>) -> Result<Medium> {
    let mut medium = Medium {
        arch: element.attribute("arch")?,
        live: element.flag("live", false)?,
        installer: element.flag("installer", true)?,
        ..Medium::default()
    };
    parser.children(|parser, child| {
        if child.name() != b"iso" {
            return parser.skip(&child);
        }
        parser.children(|parser, label| {
            let place = match label.name() {
                b"volume-id" => &mut medium.volume_id,
                b"system-id" => &mut medium.system_id,
                b"publisher-id" => &mut medium.publisher_id,
                b"application-id" => &mut medium.application_id,
                b"volume-size" => {
                    medium.volume_bytes = parser.text()?.parse().ok();
                    return Ok(());
                }
                _ => return parser.skip(&label),
            };
            *place = parser.some_text()?;
            Ok(())
        })
    })?;
    Ok(medium)
}

fn devices(parser: &mut Parser<'_>, devices: &mut Vec<DeviceSupport>) -> Result<()> {
    parser.children(|parser, child| {
        if child.name() == b"device" && child.has("id")? {
            let supported = child.flag("supported", true)?;
            devices.push(DeviceSupport { device: child.attribute("id")?, supported });
        }
        parser.skip(&child)
    })
}

/// An element's beginning.
struct Element<'f>(BytesStart<'f>);

impl Element<'_> {
    fn name(&self) -> &[u8] {
        self.0.name().into_inner()
    }

    fn value(&self, name: &str) -> Result<Option<String>> {
        let attribute = self.0.try_get_attribute(name).map_err(|error| ParseError::Xml(error.into()))?;
        let Some(attribute) = attribute else { return Ok(None) };
        if attribute.value.len() > MAX_TEXT {
            return Err(ParseError::LongText);
        }
        let value = String::from_utf8_lossy(&attribute.value);
        // What isn't XML's own stays as it is written.
        let value = quick_xml::escape::unescape(&value).map(Cow::into_owned).unwrap_or_else(|_| value.to_string());
        Ok(Some(value))
    }

    fn has(&self, name: &str) -> Result<bool> {
        Ok(self.0.try_get_attribute(name).map_err(|error| ParseError::Xml(error.into()))?.is_some())
    }

    /// Empty if it isn't there.
    fn attribute(&self, name: &str) -> Result<String> {
        Ok(self.value(name)?.unwrap_or_default())
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(match self.value(name)?.as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => default,
        })
    }
}

/// What is met next.
enum Step<'f> {
    Start(Element<'f>),
    Text(Cow<'f, str>),
    End,
    Eof,
}

struct Parser<'f> {
    reader: Reader<&'f [u8]>,
}

impl<'f> Parser<'f> {
    fn new(file: &'f [u8]) -> Self {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut reader = Reader::from_reader(file);
        reader.config_mut().expand_empty_elements = true;
        Parser { reader }
    }

    /// Comments and instructions are passed over.
    fn next(&mut self) -> Result<Step<'f>> {
        loop {
            let step = match self.reader.read_event().map_err(ParseError::Xml)? {
                Event::Start(start) | Event::Empty(start) => Step::Start(Element(start)),
                Event::End(_) => Step::End,
                Event::Text(text) => Step::Text(lossy(text.into_inner())),
                Event::CData(text) => Step::Text(lossy(text.into_inner())),
                Event::GeneralRef(reference) => {
                    let written = format!("&{};", String::from_utf8_lossy(&reference));
                    let meant = quick_xml::escape::unescape(&written).map(Cow::into_owned);
                    Step::Text(meant.unwrap_or(written).into())
                }
                Event::Eof => Step::Eof,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            };
            return Ok(step);
        }
    }

    /// Hands over each child of the element that was begun; who gets one takes it to its end.
    fn children(&mut self, mut child: impl FnMut(&mut Self, Element<'f>) -> Result<()>) -> Result<()> {
        loop {
            match self.next()? {
                Step::Start(element) => child(self, element)?,
                Step::Text(_) => {}
                Step::End => return Ok(()),
                Step::Eof => return Err(ParseError::Unfinished),
            }
        }
    }

    /// To the end of the element that was begun.
    fn skip(&mut self, element: &Element<'_>) -> Result<()> {
        self.reader.read_to_end(element.0.name()).map(|_| ()).map_err(ParseError::Xml)
    }

    /// The text of the element that was begun, to its end, without blanks around it.
    fn text(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Step::Text(more) if text.len() + more.len() > MAX_TEXT => return Err(ParseError::LongText),
                Step::Text(more) => text.push_str(&more),
                Step::Start(element) => self.skip(&element)?,
                Step::End => return Ok(text.trim().to_owned()),
                Step::Eof => return Err(ParseError::Unfinished),
            }
        }
    }

    fn some_text(&mut self) -> Result<Option<String>> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    fn date(&mut self) -> Result<Option<Date>> {
        Ok(self.text()?.parse().ok())
    }

    fn id_of(&mut self, element: &Element<'_>) -> Result<String> {
        self.skip(element)?;
        element.attribute("id")
    }
}

fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINT: &str = r#"<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY boom "boom">]>
<libosinfo version="0.0.1">
  <!-- a comment -->
  <device id="http://example.org/1"><name>not a system</name></device>
  <os id="http://example.org/mint/1">
    <short-id>mint1</short-id>
    <name xml:lang="de">Minze</name>
    <name>Mint &amp; &#x4C;ime &boom;</name>
    <family>linux</family>
    <release-date>2020-02-30</release-date>
    <eol-date>soon</eol-date>
    <release-status>rolling</release-status>
    <derives-from id="http://example.org/herb"/>
    <resources arch="all" inherit="true">
      <minimum><ram>1073741824</ram><n-cpus>2</n-cpus></minimum>
      <recommended><storage>99999999999999999999999</storage></recommended>
    </resources>
    <media arch="x86_64" live="true" installer="false">
      <variant id="v"/>
      <iso>
        <volume-id>MINT <![CDATA[<1>]]></volume-id>
        <volume-size>2048</volume-size>
        <publisher-id></publisher-id>
      </iso>
    </media>
    <firmware arch="x86_64" type="bios" supported="false"/>
    <devices><device id="d1"/><device id="d2" supported="false"><driver>x</driver></device></devices>
  </os>
</libosinfo>"#;

    #[test]
    fn a_system_is_read_with_all_that_is_wanted_of_it() {
        let systems = systems(MINT.as_bytes()).unwrap();
        let [mint] = systems.as_slice() else { panic!("{systems:?}") };
        assert_eq!((mint.id.as_str(), mint.short_id()), ("http://example.org/mint/1", "mint1"));
        assert_eq!(mint.name, "Mint & Lime &boom;");
        assert_eq!((mint.status, mint.end_of_life, mint.derives_from.len()), (Status::Rolling, None, 1));
        let [set] = mint.resources.as_slice() else { panic!() };
        assert!(set.inherit && set.arch == "all");
        assert_eq!((set.minimum.memory_bytes, set.minimum.cpus), (Some(1 << 30), Some(2)));
        assert_eq!(set.recommended, Needs::default(), "a number that is too large is none");
        let [medium] = mint.media.as_slice() else { panic!() };
        assert!(medium.live && !medium.installer && medium.publisher_id.is_none());
        assert_eq!((medium.volume_id.as_deref(), medium.volume_bytes), (Some("MINT <1>"), Some(2048)));
        assert_eq!((mint.starts_with("bios", "x86_64"), mint.starts_with("efi", "x86_64")), (Some(false), None));
        assert_eq!(mint.devices.iter().map(|one| one.supported).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        assert!(matches!(systems(b""), Err(ParseError::Unfinished)));
        assert!(matches!(systems(b"hello"), Err(ParseError::Other)));
        assert!(matches!(systems(b"<html></html>"), Err(ParseError::Other)));
        assert!(systems(b"<libosinfo><os id='x'>").is_err());
        assert!(systems(b"<libosinfo><os id='x'><name>a</os></libosinfo>").is_err());
        let long = format!("<libosinfo><os id='x'><name>{}</name></os></libosinfo>", "a".repeat(MAX_TEXT + 1));
        assert!(matches!(systems(long.as_bytes()), Err(ParseError::LongText)));
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let deep = format!("<libosinfo>{}{}</libosinfo>", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(systems(deep.as_bytes()).unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = systems(&bytes);
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0..MINT.len(), byte: u8, end in 0..MINT.len()) {
            let mut damaged = MINT.as_bytes().to_vec();
            damaged[at] = byte;
            let _ = systems(&damaged);
            let _ = systems(&damaged[..end]);
        }
    }
}
