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
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobReport } from "../../src/machine/job-report.ts";
import type { Receipt } from "../../src/machine/receipt.ts";
import { findMount } from "../../src/kernel/own-cgroup.ts";
import { LabProcess } from "../lab/process.ts";
import { Host } from "../machine/setup.ts";
import { until } from "../support/until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const uid = 1001;
/** Where the lab's REST interface is; a machine of its own. */
const api = { address: "203.0.113.77", port: 9_931 };

export interface Step {
  id: string;
  /** A script for bash, or an action. */
  run?: string;
  shell?: string[];
  action?: string;
  folder?: string;
  ref?: string;
  pre?: string;
  main?: string;
  post?: string;
  with?: Record<string, string>;
  env?: Record<string, string>;
  always?: boolean;
  continueOnError?: boolean;
}

export interface PhaseResult {
  phase: "pre" | "main" | "post";
  step: string;
  status: number | string;
  output: string;
  milliseconds: number;
  pid: number;
}

export interface JobResult {
  failed: boolean;
  results: PhaseResult[];
  summary: string;
  outputs: Record<string, Record<string, string>>;
}

export interface RunnerOptions {
  /** The Node that actions run on; this test's own when left out. */
  node?: string;
  /** `.github/sallyport.yaml` of the default branch; null: there is none. */
  policy?: string | null;
  env?: Record<string, string>;
  /** No sudo for the runner's user. */
  sudo?: boolean;
}

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
    buildAction();
    const host = await Host.create();
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
    writeFileSync(answers, JSON.stringify({ policy: options.policy ?? null }));
    const rest = host.lab.world.spawn(process.execPath, [
      fileURLToPath(new URL("api.mjs", import.meta.url)),
      api.address,
      String(api.port),
      answers,
    ]);
    await rest.waitFor(/listening/, 10_000);
    const cgroup = join(findMount(readFileSync("/proc/self/mountinfo", "utf8"))!, `sallyport-runner-${host.lab.id}`);
    mkdirSync(cgroup);
    const runner = new Runner(host, home, options, rest, cgroup);
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

  /** Runs a job to its end. The machine goes on, with whatever the job left. */
  async run(steps: Step[], env: Record<string, string> = {}): Promise<JobResult> {
    const file = join(this.home, `job-${++jobs}.json`);
    writeFileSync(
      file,
      JSON.stringify({
        work: join(this.home, "work"),
        workspace: this.workspace,
        home: this.home,
        node: this.#options.node ?? process.execPath,
        steps,
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
          ACTIONS_RESULTS_URL: "https://results.github.example/",
          ACTIONS_RUNTIME_URL: "https://pipelines.github.example/",
        },
      }),
      { mode: 0o644 },
    );
    chownSync(file, uid, uid);
    if (this.#machine !== null) await this.#machine.kill("SIGKILL");
    this.#machine = this.#start(file);
    const exit = await until(() => existsSync(`${file}.exit`), 120_000);
    if (exit === undefined) throw new Error(`the worker did not end: ${this.#machine.stdout}${this.#machine.stderr}`);
    if (!existsSync(`${file}.result`))
      throw new Error(`the worker failed: ${this.#machine.stdout}${this.#machine.stderr}`);
    return JSON.parse(readFileSync(`${file}.result`, "utf8")) as JobResult;
  }

  /** What the action's outputs lead to. */
  report({ outputs }: JobResult): { report: JobReport; receipt: Receipt } {
    const { report, receipt } = outputs["__sallyport_sallyport"]!;
    const read = (path: string) => JSON.parse(readFileSync(this.place(path), "utf8")) as unknown;
    return { report: read(report!) as JobReport, receipt: read(receipt!) as Receipt };
  }

  /** Where a file or folder of the agent's, as an output names it, is for the test. */
  place(path: string): string {
    return join(this.#state, path.replace("/var/lib/sallyport/", ""));
  }

  get #state(): string {
    return join(this.home, "..", "runner-state");
  }

  async close(): Promise<void> {
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
    cpSync(join(root, "action/dist"), join(actionFolder, "action/dist"), { recursive: true });
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

  #start(job: string): LabProcess {
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
      "cd /",
      `exec setpriv --reuid ${uid} --regid ${uid} --init-groups --inh-caps=-all env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ${this.home}/bin/Runner.Listener ${this.home}/bin/listener.mjs ${this.home}/bin/Runner.Worker ${this.home}/bin/worker.mjs ${job}`,
    ].join("\n");
    const child = spawn(
      "unshare",
      [
        "--mount",
        "sh",
        "-c",
        'touch "$1" && mount --bind /proc/self/ns/net "$1" && shift && exec "$@"',
        "sh",
        hostNet,
        "nsenter",
        `--net=/run/netns/${this.host.host.namespace}`,
        "sh",
        "-c",
        script,
      ],
      {
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      },
    );
    return new LabProcess(child);
  }
}

let isBuilt = false;

function buildAction(): void {
  if (isBuilt) return;
  execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", join(root, "scripts/build-action.ts")], {
    stdio: "ignore",
  });
  isBuilt = true;
}

/** A program of another name: what a process is, is told by its executable. */
function copyAs(from: string, to: string): void {
  // Not a hard link: the folder is given to the runner's user, and the original is everybody's.
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  chmodSync(to, 0o755);
}
