/** Container engines by what they and their runtimes are called, and where they listen. Pure. */

/** Programs that make containers as told by a bundle. */
export const runtimes: readonly string[] = ["runc", "crun", "youki", "runsc", "kata-runtime", "docker-runc"];

const daemons = /^(?:dockerd|containerd|containerd-shim[\w-]*|buildkitd|crio|podman|conmon|docker-proxy)$/;

/** Files that engines listen at, in whichever folder. */
const sockets = /\/(?:docker|containerd|podman|crio|buildkitd)\.sock$/;

export function isEngineSocket(path: string): boolean {
  return sockets.test(path);
}

/** One of an engine's own programs, which ask each other. */
export function isEngine(exe: string | null): boolean {
  return daemons.test(nameOf(exe ?? ""));
}

/** A runtime may execute a copy of itself, which has no name but the one it is called by. */
export function isRuntime({ exe, args }: { exe: string | null; args: readonly string[] }): boolean {
  return runtimes.includes(nameOf(exe ?? "")) || runtimes.includes(nameOf(args[0] ?? ""));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
