/**
 * A runner for jobs that use the action, without GitHub: a machine of the lab in its own network and mount namespaces, with a
 * user `runner` who may use sudo, a listener, a worker (`worker.mjs`) and the folders that GitHub's runner has. The bundle is
 * the one that a release has.
 *
 * Not in a PID namespace: the kernel tells process events to the first one alone (connector/cn_proc.c). What a job leaves running
 * is ended by its control group.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobReport } from "../../src/machine/job-report.ts";
import type { Receipt } from "../../src/machine/receipt.ts";
import { findMount, removeCgroup } from "../../src/kernel/own-cgroup.ts";
import { processesInside } from "../lab/lifetime.ts";
import { LabProcess } from "../lab/process.ts";
import type { ZoneEntry } from "../lab/internet/zone.ts";
import { Host } from "../machine/setup.ts";
import { until } from "../support/until.ts";
import type { ApiAnswer, JobOptions, JobResult, RunnerOptions, Step } from "./job.ts";

export type { ApiAnswer, JobOptions, JobResult, Step } from "./job.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const uid = 1001;
/** Where the lab's REST interface is; a machine of its own. */
const api = { address: "203.0.113.77", port: 9_931 };

/** Hosts of the control plane, in the lab's zone. */
const control = "pipelines.github.example";
const storage = "results.github.example";
const at = (n: number): ZoneEntry => ({ records: [{ type: "A", data: `203.0.113.${n}`, ttl: 60 }] });

let jobs = 0;

export class Runner {
  readonly host: Host;
  readonly home: string;
  readonly workspace: string;
  readonly actionFolder: string;
  readonly #options: RunnerOptions;
  readonly #cgroup: string;
  readonly #api: LabProcess;
  #machine: LabProcess | null = null;
  #listener: LabProcess | null = null;

  private constructor(host: Host, home: string, options: RunnerOptions, api: LabProcess, cgroup: string) {
    this.host = host;
    this.home = home;
    this.workspace = join(home, "work/r/r");
    this.actionFolder = join(home, "work/_actions/sallyport/sallyport/v1");
    this.#options = options;
    this.#api = api;
    this.#cgroup = cgroup;
  }

  static async create(options: RunnerOptions = {}): Promise<Runner> {
    const host = await Host.create({ quic: options.quic === true, zone: { [control]: at(120), [storage]: at(121) } });
    try {
      return await Runner.#build(host, options);
    } catch (error) {
      await host.close();
      throw error;
    }
  }

  static async #build(host: Host, options: RunnerOptions): Promise<Runner> {
    const home = join(host.host.home, "..", "runner-home");
    const answers = join(host.host.home, "api.json");
    writeFileSync(answers, JSON.stringify({ policy: options.policy ?? null } satisfies ApiAnswer));
    const machine = host.lab.world.spawn(process.execPath, [
      fileURLToPath(new URL("api.mjs", import.meta.url)),
      api.address,
      String(api.port),
      answers,
    ]);
    await machine.waitFor(/listening/, 10_000);
    const cgroup = join(findMount(readFileSync("/proc/self/mountinfo", "utf8"))!, `sallyport-runner-${host.lab.id}`);
    mkdirSync(cgroup);
    const runner = new Runner(host, home, options, machine, cgroup);
    runner.#furnish();
    return runner;
  }

  /** A step that uses the action, the first of most jobs. */
  sallyport(inputs: Record<string, string> = {}): Step {
    return {
      id: "__sallyport_sallyport",
      action: "sallyport/sallyport",
      folder: this.actionFolder,
      pre: "action/dist/pre.mjs",
      main: "action/dist/main.mjs",
      post: "action/dist/post.mjs",
      with: inputs,
    };
  }

  /** A step that uses another action, which runs this script. */
  action(id: string, repository: string, script: string): Step {
    const folder = join(this.home, "work/_actions", repository, "v1");
    mkdirSync(folder, { recursive: true });
    const lines = [
      'import { spawnSync } from "node:child_process";',
      `spawnSync("bash", ["-c", ${JSON.stringify(script)}], { stdio: "inherit" });`,
    ];
    writeFileSync(join(folder, "main.mjs"), lines.join("\n"));
    return { id, action: repository, folder, main: "main.mjs" };
  }

  /** Runs a job to its end. The machine goes on, with whatever the job left. */
  async run(steps: Step[], { env = {}, prepare = "", timeout }: JobOptions = {}): Promise<JobResult> {
    const file = join(this.home, `job-${++jobs}.json`);
    writeFileSync(
      file,
      JSON.stringify({
        work: join(this.home, "work"),
        workspace: this.workspace,
        home: this.home,
        node: this.#options.node ?? process.execPath,
        steps,
        ...(timeout === undefined ? {} : { timeout }),
        env: {
          GITHUB_REPOSITORY: "o/r",
          GITHUB_EVENT_NAME: "push",
          GITHUB_SHA: "c0ffee",
          GITHUB_JOB: "build",
          GITHUB_WORKFLOW: "ci",
          GITHUB_RUN_ID: `${Date.now()}`,
          GITHUB_RUN_ATTEMPT: "1",
          GITHUB_SERVER_URL: "https://github.example",
          GITHUB_API_URL: `http://${api.address}:${api.port}`,
          CURL_CA_BUNDLE: this.host.lab.caFile,
          SSL_CERT_FILE: this.host.lab.caFile,
          NODE_EXTRA_CA_CERTS: this.host.lab.caFile,
          ...this.#options.env,
          ...env,
        },
        actionEnv: {
          ACTIONS_RESULTS_URL: `https://${storage}/`,
          ACTIONS_RUNTIME_URL: `https://${control}/`,
        },
        upload: { url: `https://${storage}/upload`, ca: this.host.lab.caFile },
      }),
      { mode: 0o644 },
    );
    chownSync(file, uid, uid);
    this.#machine ??= await this.#boot();
    this.#listener ??= this.#listen();
    const listener = prepare === "" ? this.#listener : this.#listen(prepare);
    listener.write(`${file}\n`);
    const exit = await until(() => existsSync(`${file}.exit`), 240_000);
    const said = () => `${listener.stdout}${listener.stderr}`;
    if (exit === undefined) throw new Error(`the worker did not end: ${said()}`);
    if (!existsSync(`${file}.result`)) throw new Error(`the worker failed: ${said()}`);
    return JSON.parse(readFileSync(`${file}.result`, "utf8")) as JobResult;
  }

  /** What the action's outputs lead to. */
  report({ outputs, results }: JobResult): { report: JobReport; receipt: Receipt } {
    const { report, receipt } = outputs["__sallyport_sallyport"] ?? {};
    if (report === undefined) throw new Error(`The job has no report: ${JSON.stringify(results, null, 1)}`);
    const read = (path: string) => JSON.parse(readFileSync(this.place(path), "utf8")) as unknown;
    return { report: read(report) as JobReport, receipt: read(receipt!) as Receipt };
  }

  /** Where a file or folder of the agent's, as an output names it, is for the test. */
  place(path: string): string {
    return join(this.#state, path.replace("/var/lib/sallyport/", ""));
  }

  get #state(): string {
    return join(this.home, "..", "runner-state");
  }

  async close(): Promise<void> {
    const { cgroups } = this.#machine === null ? { cgroups: [] } : this.standing();
    writeFileSync(join(this.#cgroup, "cgroup.kill"), "1");
    const ended = () => readFileSync(join(this.#cgroup, "cgroup.events"), "utf8").includes("populated 0");
    await until(ended, 10_000);
    for (const folder of execFileSync("find", [this.#cgroup, "-mindepth", "1", "-type", "d"], { encoding: "utf8" })
      .split("\n")
      .filter(Boolean))
      rmdirSync(folder);
    rmdirSync(this.#cgroup);
    await this.#api.kill("SIGKILL");
    await this.host.close();
    for (const name of cgroups) removeCgroup(name);
  }

  /** Folders, programs and the /etc of the machine. */
  #furnish(): void {
    const { home, workspace, actionFolder } = this;
    for (const folder of [workspace, actionFolder, join(home, "bin"), join(home, "work/_temp")])
      mkdirSync(folder, { recursive: true });
    for (const name of ["Runner.Listener", "Runner.Worker"]) copyAs(process.execPath, join(home, "bin", name));
    for (const name of ["worker.mjs", "listener.mjs"])
      copyFileSync(fileURLToPath(new URL(name, import.meta.url)), join(home, "bin", name));
    copyFileSync(join(root, "action.yml"), join(actionFolder, "action.yml"));
    cpSync(buildAction(), join(actionFolder, "action/dist"), { recursive: true });
    execFileSync("chown", ["-R", `${uid}:${uid}`, home]);
    for (let at = home; at !== "/"; at = join(at, "..")) chmodSync(at, 0o755);
    const etc = join(home, "..", "runner-etc");
    mkdirSync(join(etc, "sudoers.d"), { recursive: true });
    writeFileSync(join(etc, "resolv.conf"), "nameserver 203.0.113.53\n");
    writeFileSync(join(etc, "hosts"), `127.0.0.1 localhost ${hostname()}\n::1 localhost\n`);
    writeFileSync(
      join(etc, "passwd"),
      `${readFileSync("/etc/passwd", "utf8")}runner:x:${uid}:${uid}::${home}:/bin/bash\n`,
    );
    writeFileSync(join(etc, "group"), `${readFileSync("/etc/group", "utf8")}runner:x:${uid}:\n`);
    writeFileSync(join(etc, "shadow"), `${readFileSync("/etc/shadow", "utf8")}runner:*:19000:0:99999:7:::\n`, {
      mode: 0o640,
    });
    if (this.#options.sudo !== false)
      writeFileSync(join(etc, "sudoers.d/runner"), "runner ALL=(ALL) NOPASSWD:ALL\n", { mode: 0o440 });
    mkdirSync(this.#state, { recursive: true });
  }

  /** The machine's own mount namespace, kept by a process that does nothing. */
  async #boot(): Promise<LabProcess> {
    const etc = join(this.home, "..", "runner-etc");
    const hostNet = join(this.home, "..", "host-net");
    const script = [
      "set -e",
      // As root of a host with several runners does: the kernel tells process events in its first network namespace alone.
      "mount -t tmpfs tmpfs /run/sallyport 2> /dev/null || (mkdir -p /run/sallyport && mount -t tmpfs tmpfs /run/sallyport)",
      "touch /run/sallyport/host-net",
      `mount --bind ${hostNet} /run/sallyport/host-net`,
      `echo $$ > ${this.#cgroup}/cgroup.procs`,
      ...["resolv.conf", "hosts", "passwd", "group", "shadow", "sudoers.d"].map(
        (name) => `mount --bind ${etc}/${name} /etc/${name}`,
      ),
      "mkdir -p /var/lib/sallyport",
      `mount --bind ${this.#state} /var/lib/sallyport`,
      "echo booted",
      "exec sleep infinity",
    ].join("\n");
    const inside = 'touch "$1" && mount --bind /proc/self/ns/net "$1" && shift && exec "$@"';
    const net = `--net=/run/netns/${this.host.host.namespace}`;
    const argv = ["--mount", "sh", "-c", inside, "sh", hostNet, "nsenter", net, "sh", "-c", script];
    const machine = detached("unshare", argv);
    await machine.waitFor(/booted/);
    return machine;
  }

  #listen(prepare = ""): LabProcess {
    const { home } = this;
    const script = [
      "set -e",
      `echo $$ > ${this.#cgroup}/cgroup.procs`,
      "cd /",
      prepare,
      `exec setpriv --reuid ${uid} --regid ${uid} --init-groups --inh-caps=-all env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ${home}/bin/Runner.Listener ${home}/bin/listener.mjs ${home}/bin/Runner.Worker ${home}/bin/worker.mjs`,
    ].join("\n");
    const apart = prepare === "" ? [] : ["unshare", "--mount"];
    return detached("nsenter", [...this.#inside, ...apart, "sh", "-c", script]);
  }

  get #inside(): string[] {
    return [`--mount=/proc/${this.#machine!.pid}/ns/mnt`, `--net=/run/netns/${this.host.host.namespace}`];
  }

  /** A shell's lines by root on the machine, outside of any job. */
  root(script: string): string {
    return execFileSync("nsenter", [...this.#inside, "sh", "-c", script], { encoding: "utf8" });
  }

  /** What stands on the machine: our rules, agents with their control groups, and state folders. */
  standing(): { rules: string[]; agents: number[]; cgroups: string[]; states: string[] } {
    const saved = ["iptables-save", "ip6tables-save"].map((tool) => this.root(tool)).join("");
    const rules = saved.split("\n").filter((line) => line.includes("SALLYPORT"));
    const agents = processesInside([this.host.host.namespace]).filter((pid) =>
      /\0agent(-install)?\0/.test(readText(`/proc/${pid}/cmdline`)),
    );
    const mount = findMount(readFileSync("/proc/self/mountinfo", "utf8"))!;
    const cgroups = agents.map((pid) => `sallyport-${pid}`).filter((name) => existsSync(join(mount, name)));
    const states = readdirSync(this.#state).filter((name) => !["lock", "agent.json"].includes(name));
    return { rules, agents, cgroups, states };
  }

  /** Changes what the lab's REST interface answers from now on. */
  answer(answer: ApiAnswer): void {
    writeFileSync(join(this.host.host.home, "api.json"), JSON.stringify(answer));
  }
}

function detached(command: string, args: string[]): LabProcess {
  return new LabProcess(spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], detached: true }));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

let built: string | null = null;

/** The bundle, in a folder of this process's own: several tests run at once. */
function buildAction(): string {
  if (built !== null) return built;
  const folder = mkdtempSync(join(tmpdir(), "sallyport-action-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const script = join(root, "scripts/build-action.ts");
  execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", script, `--out=${folder}`], {
    stdio: "ignore",
  });
  return (built = folder);
}

/** A program of another name: what a process is, is told by its executable. */
function copyAs(from: string, to: string): void {
  // Not a hard link: the folder is given to the runner's user, and the original is everybody's.
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  chmodSync(to, 0o755);
}
