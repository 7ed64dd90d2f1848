//! What the program says of files, by the labels of a real disc and a database of the test's own.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whole_machine::{Guest, Said, Tandem};

/// The volume identifier's place in an ISO 9660 file system (ECMA-119, section 8.4.7), and its length.
const VOLUME: (u64, usize) = (16 * 2048 + 40, 32);

const DATABASE: &str = r#"<libosinfo version="0.0.1">
  <os id="http://example.org/mint/22">
    <short-id>mint22</short-id>
    <name>Mint 22</name>
    <version>22</version>
    <resources arch="all"><recommended><ram>50331648</ram><storage>53687091200</storage></recommended></resources>
    <media arch="x86_64"><iso><volume-id>Mint 22 amd64</volume-id></iso></media>
    <release-date>2001-01-01</release-date>
  </os>
</libosinfo>"#;

/// GRUB's disc with another name.
fn disc(tandem: &Tandem, volume: &str) -> Result<PathBuf> {
    let path = tandem.scratch("disc.iso");
    fs::copy(Guest::GrubRescueIso.file()?, &path)?;
    let label = format!("{volume:<width$}", width = VOLUME.1);
    fs::File::options().write(true).open(&path)?.write_all_at(label.as_bytes(), VOLUME.0)?;
    Ok(path)
}

/// What a command says that knows only our database.
fn said(tandem: &Tandem, args: &[&str]) -> Result<String> {
    let database = tandem.scratch("osinfo");
    fs::create_dir_all(database.join("os"))?;
    fs::write(database.join("os/mint.xml"), DATABASE)?;
    let mut command = tandem.command(args);
    for variable in ["OSINFO_SYSTEM_DIR", "OSINFO_LOCAL_DIR", "OSINFO_USER_DIR"] {
        command.env(variable, &database);
    }
    let said = Said::by(&mut command)?;
    ensure!(said.status.success() && said.err.is_empty(), "{args:?}: {}{}", said.err, said.out);
    Ok(said.out)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is text")
}

#[test]
fn a_disc_is_identified_and_what_its_system_needs_is_said() -> Result<()> {
    let tandem = Tandem::new()?;
    let disc = disc(&tandem, "Mint 22 amd64")?;
    let record: Value = serde_json::from_str(&said(&tandem, &["identify", "--json", text(&disc)?])?)?;
    assert_eq!(record["kind"]["type"], "iso");
    assert_eq!(record["kind"]["boots_with_bios"], true);
    assert_eq!(record["os"]["short_id"], "mint22");
    assert_eq!(record["advice"]["name"]["value"], "Mint 22");
    assert_eq!(record["advice"]["memory"]["value"], "48 MiB");
    assert_eq!(record["advice"]["disk"]["value"], "50 GiB");
    let lines = said(&tandem, &["identify", text(&disc)?])?;
    assert!(lines.contains("Mint 22 recommends 48 MB") && lines.contains("starts with BIOS"), "{lines}");
    let newer = self::disc(&tandem, "Mint 23 amd64")?;
    let lines = said(&tandem, &["identify", text(&newer)?])?;
    assert!(lines.contains("Mint 23") && lines.contains("taken from Mint 22"), "{lines}");
    let page = tandem.scratch("page.iso");
    fs::write(&page, "<!DOCTYPE html>")?;
    let refusal = tandem.refused(&["identify", text(&page)?])?;
    assert!(refusal.contains("page.iso' is a web page"), "{refusal}");
    Ok(())
}

#[test]
fn a_machine_remembers_the_system_of_its_disc_and_keeps_the_usual_size() -> Result<()> {
    let tandem = Tandem::new()?;
    let disc = disc(&tandem, "Mint 22 amd64")?;
    said(&tandem, &["create", "one", "--iso", text(&disc)?])?;
    said(&tandem, &["create", "two"])?;
    let definition = tandem.json(&["show", "one"])?["definition"].clone();
    assert_eq!(definition["os"], "http://example.org/mint/22");
    assert_eq!(definition["memory"], "2 GiB");
    assert_eq!(tandem.json(&["show", "two"])?["definition"].get("os"), None);
    Ok(())
}
