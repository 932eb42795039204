/**
 * Which container a cgroup path belongs to, by the names that engines give: docker, containerd, podman, crun, Kubernetes'
 * kubelet; cgroup v1 and v2, with systemd's scopes and without. Pure.
 */

const digest = /^[0-9a-f]{64}$/;
/** Scopes of systemd: the engine's prefix, the container's name, `.scope`. */
const scope = /^(docker|cri-containerd|libpod|crio|crun|containerd|nerdctl)-([A-Za-z0-9][\w.-]{0,127}?)(?:\.scope)?$/;
/** Folders of engines that use cgroups without systemd; what lies in them is named for the container. */
const folders = new Set(["docker", "libpod_parent", "kubepods", "crun", "moby", "k8s.io", "buildkit", "containerd"]);
/** Companions of a container that run outside of it. */
const companions = /^(?:libpod-conmon-|crio-conmon-)/;

/**
 * The id of the container that a process in these cgroups runs in; null where none is recognised. The innermost one: a
 * container that runs in a container is the one that acts.
 */
export function containerOf(paths: readonly string[]): string | null {
  for (const path of paths) {
    const segments = path.split("/");
    for (let i = segments.length - 1; i >= 0; i--) {
      const id = idOf(segments[i]!, segments.slice(0, i));
      if (id !== null) return id;
    }
  }
  return null;
}

function idOf(segment: string, above: readonly string[]): string | null {
  if (companions.test(segment)) return null;
  const scoped = scope.exec(segment);
  if (scoped !== null) return scoped[2]!;
  if (digest.test(segment)) return segment;
  // BuildKit's and crun's names are shorter; only right below a folder of theirs do they mean a container.
  const parent = above.at(-1) ?? "";
  return folders.has(parent) &&
    !folders.has(segment) &&
    /^[a-z0-9][\w.-]{7,127}$/.test(segment) &&
    !segment.includes("pod")
    ? segment
    : null;
}
