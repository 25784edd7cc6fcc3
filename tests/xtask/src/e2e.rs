//! `cargo xtask e2e` and `cargo xtask bench kubernetes`: images, a cluster, and `klamm-e2e` inside its network.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::packages;
use crate::shell::{self, cargo, step};
use crate::{cluster, images, workspace};

/// The cluster to use.
#[derive(clap::Args)]
pub struct Target {
    /// A cluster that is there, with the images klamm/broker:dev and klamm/operator:dev (see tests/kubernetes/kind/cluster);
    /// without it the testbed is started, and stopped in the end
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A program that cuts nodes of that cluster off and kills processes there
    #[arg(long, value_name = "PROGRAM", requires = "kubeconfig")]
    faults: Option<PathBuf>,
    /// Leave the testbed running, and use it if it runs
    #[arg(long)]
    keep: bool,
    /// Take the images that are in target/images
    #[arg(long)]
    no_images: bool,
}

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Build for release; the debug build, which the other tests have made, is there sooner
    #[arg(long)]
    release: bool,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Run only scenarios whose name contains this; several with commas between them
    filter: Option<String>,
}

#[derive(clap::Args)]
pub struct BenchArgs {
    #[command(flatten)]
    target: Target,
    /// Arguments of `klamm-e2e bench`, after --
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the suite.
///
/// # Errors
/// A build or a scenario fails.
pub fn run(args: &Args) -> Result<()> {
    let mut words = vec!["run".to_owned()];
    words.extend(args.keep_going.then(|| "--keep-going".to_owned()));
    words.extend(args.filter.clone());
    with_cluster(&args.target, !args.release, &words)
}

/// Measures, with binaries as they are released.
///
/// # Errors
/// A build fails, or something does not work at all.
pub fn bench(args: &BenchArgs) -> Result<()> {
    with_cluster(&args.target, false, &[&["bench".to_owned()], args.rest.as_slice()].concat())
}

fn with_cluster(target: &Target, debug_build: bool, words: &[String]) -> Result<()> {
    std::env::set_current_dir(workspace::root())?;
    step("the suite");
    shell::run(cargo().args(["build", "--package", "klamm-kubernetes-tests"]))?;
    let suite = workspace::target()?.join("debug/klamm-e2e");
    if !target.no_images {
        images::run(&images::Args::all(debug_build))?;
    }
    if let Some(kubeconfig) = &target.kubeconfig {
        return on_foreign_cluster(&suite, kubeconfig, target.faults.as_deref(), words);
    }
    let _testbed = Testbed::start(target.keep)?;
    step("end-to-end scenarios");
    let run = cluster::state()?.join("run");
    let mut command = cluster::inside(std::iter::once(suite.as_os_str()))?;
    command.args(words);
    command.env("KLAMM_E2E_FAULTS", cluster::program()).env("KLAMM_E2E_AUDIT_LOG", run.join("audit.log"));
    shell::run(&mut command)
}

fn on_foreign_cluster(
    suite: &Path,
    kubeconfig: &Path,
    faults: Option<&Path>,
    words: &[String],
) -> Result<()> {
    let kubeconfig = fs::canonicalize(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
    let client = client_image()?;
    if let Some(program) = faults {
        let folder = images::folder()?;
        let archives = [folder.join("broker.tar"), folder.join("operator.tar"), client];
        shell::run(Command::new(program).arg("load").args(archives))?;
    }
    step("end-to-end scenarios");
    let mut command = Command::new(suite);
    command.args(words).env("KUBECONFIG", kubeconfig);
    if let Some(program) = faults {
        command.env("KLAMM_E2E_FAULTS", fs::canonicalize(program)?);
    }
    shell::run(&mut command)
}

/// The image of the pod that clients run in.
fn client_image() -> Result<PathBuf> {
    packages::ensure(&[packages::KCAT, packages::BUSYBOX])?;
    let archive = images::folder()?.join("e2e-client.tar");
    if let Some(folder) = archive.parent() {
        fs::create_dir_all(folder)?;
    }
    let script = workspace::root().join("tests/kubernetes/image/client");
    shell::run(Command::new(script).stdout(fs::File::create(&archive)?))?;
    Ok(archive)
}

/// The testbed, and a process that stops it when this one ends, however it ends: Ctrl-C does not reach it.
struct Testbed {
    guard: Option<Child>,
}

impl Testbed {
    fn start(keep: bool) -> Result<Self> {
        step("the testbed");
        let probe = ["kubectl", "get", "--raw", "/readyz"];
        let runs = keep && shell::output(&mut cluster::inside(probe.iter())?).is_ok();
        let mut testbed = Self { guard: None };
        if !keep {
            let mut guard = cluster::testbed(["down-when-left"])?;
            testbed.guard = Some(guard.stdin(Stdio::piped()).process_group(0).spawn()?);
        }
        if !runs {
            shell::run(&mut cluster::testbed(["up"])?)?;
        }
        cluster::load(&[&client_image()?])?;
        Ok(testbed)
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else {
            println!(
                "The testbed runs on: cargo xtask cluster run kubectl get pods -A; cargo xtask cluster down"
            );
            return;
        };
        step("stopping the testbed");
        drop(guard.stdin.take());
        if let Err(error) = guard.wait() {
            eprintln!("stopping the testbed: {error:#}");
        }
    }
}
