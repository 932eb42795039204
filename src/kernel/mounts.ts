/** Folders and files mounted over themselves, in the mount namespace of this process. */
import { readFileSync } from "node:fs";
import { mount, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, unmount } from "./libc.ts";

/** What a mount may have that one over it must not lose (mount_namespaces(7)). */
const kept: Readonly<Record<string, number>> = { nosuid: MS_NOSUID, nodev: MS_NODEV, noexec: MS_NOEXEC };

/** Throws KernelError. */
export function mountOverItself(path: string): void {
  mount(path, path, MS_BIND);
}

/** A mount point becomes read only. Throws KernelError. */
export function makeReadOnly(path: string): void {
  const options = optionsOf(readFileSync("/proc/self/mountinfo", "utf8"), path);
  const flags = options.reduce((all, option) => all | (kept[option] ?? 0), MS_BIND | MS_REMOUNT | MS_RDONLY);
  mount(null, path, flags);
}

/** At once for everybody who looks there; what is open stays open. Throws KernelError. */
export function unmountLazily(path: string): void {
  unmount(path);
}

/** The options of what is mounted at `path`, the last one over others (proc_pid_mountinfo(5)); none where nothing is. */
export function optionsOf(mountinfo: string, path: string): string[] {
  let options: string[] = [];
  for (const line of mountinfo.split("\n")) {
    const [, , , , point, text] = line.split(" ");
    if (point !== undefined && text !== undefined && unescape(point) === path) options = text.split(",");
  }
  return options;
}

/** Spaces, tabs, ends of lines and backslashes are written in octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
