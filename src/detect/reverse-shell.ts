/**
 * Is this a shell that somebody elsewhere types into? Its input and output are a connection to the internet, or belong to a
 * program that passes them on to one. Facts in, an answer out; whoever calls has read them from the kernel.
 */
export interface Stream {
  kind: "internet" | "socket" | "pipe" | "terminal" | "other";
  /** What tells it from others of its kind. */
  id: string;
  /** Of a connected internet socket: `address:port`. */
  remote: string | null;
}

/** Another process that may pass on what a shell reads and writes. */
export interface Relay {
  pid: number;
  exe: string | null;
  args: readonly string[];
  /** The shell descends from it. */
  above: boolean;
  /** Its standard input. */
  input: Stream;
  /** Numbers of the terminals whose other side it holds. */
  terminals: readonly string[];
  /** Where its own connections lead. */
  remotes: readonly string[];
}

export interface ShellFacts {
  exe: string | null;
  args: readonly string[];
  input: Stream;
  output: Stream;
}

export interface ReverseShell {
  /** `socket`: it is the connection's end itself. The others: by way of another process. */
  how: "socket" | "relay" | "terminal";
  remote: string;
  relay: { pid: number; exe: string | null } | null;
}

const shells = new Set(["sh", "bash", "dash", "zsh", "ash", "ksh", "mksh", "fish", "tcsh", "csh", "rbash", "pwsh"]);
const interpreters = /^(?:python|perl|ruby|php|lua|node|tclsh|irb|awk|gawk|mawk|nawk)[\d.]*$/;
const relays = /^(?:nc|ncat|netcat|nc\.\w+|socat\d?|telnet|openssl|cryptcat|websocat|pwncat|chisel)$/;
/** Programs of many names: which one it is, its arguments say. */
const boxes = new Set(["busybox", "toybox"]);

/** The program's name, also one of busybox's. */
export function programName(exe: string | null, args: readonly string[]): string {
  const name = last(exe?.replace(/ \(deleted\)$/, "") ?? args[0] ?? "").replace(/^-/, "");
  if (!boxes.has(name)) return name;
  const applet = last(args[0] ?? "");
  return boxes.has(applet) ? (args[1] ?? "") : applet;
}

export function isShell(name: string): boolean {
  return shells.has(name);
}

/** Whether it is worth a look at its streams. */
export function mayBeShell(name: string): boolean {
  return shells.has(name) || interpreters.test(name);
}

export function isRelay(name: string): boolean {
  return relays.test(name);
}

/** Null: it is none, as far as these facts say. `others` are asked for only where they matter. */
export function reverseShell(shell: ShellFacts, others: () => Iterable<Relay>): ReverseShell | null {
  const name = programName(shell.exe, shell.args);
  if (!mayBeShell(name)) return null;
  const { input, output } = shell;
  if (input.kind === "internet" && output.kind === "internet") {
    const remote = [input.remote, output.remote].find((each) => each !== null && !isLoopback(each));
    return remote === undefined || remote === null ? null : { how: "socket", remote, relay: null };
  }
  if (!isShell(name) || input.kind === "other" || output.kind === "other") return null;
  for (const other of others()) {
    const remote = other.remotes.find((each) => !isLoopback(each));
    if (remote === undefined) continue;
    const { pid, exe } = other;
    if (input.kind === "terminal" && output.kind === "terminal") {
      if (other.terminals.includes(input.id)) return { how: "terminal", remote, relay: { pid, exe } };
      continue;
    }
    if (!isRelay(programName(exe, other.args))) continue;
    // It started the shell, or reads what the shell writes while the shell reads from somewhere.
    const reads = output.kind === "pipe" && other.input.kind === "pipe" && other.input.id === output.id;
    if (other.above || reads) return { how: "relay", remote, relay: { pid, exe } };
  }
  return null;
}

/** Of `address:port`. */
export function isLoopback(remote: string): boolean {
  return /^(?:127\.|\[::1\]|\[::ffff:127\.)/.test(remote);
}

function last(path: string): string {
  return path.split("/").at(-1) ?? "";
}
