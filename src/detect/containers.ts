/**
 * What a container may do to its host (threat R3): read from what its runtime was told to make, the OCI runtime's `config.json`
 * (https://github.com/opencontainers/runtime-spec, config.md and config-linux.md), whoever asked for it; from docker's own record of a
 * container; and from command lines as a second source. A container with one of these is as good as root on the machine, and
 * the machine is where the firewall stands. Pure: whoever calls resolves links and knows the host's namespaces.
 */

export interface ContainerDanger {
  kind: "privileged" | "namespace" | "capability" | "device" | "mount";
  /** Which namespace, capability, device or folder; empty for a privileged one. */
  what: string;
}

export interface Surroundings {
  /** Folders and files that nobody's container has any business with, beside {@link hostPaths}: ours and the runner's. */
  sensitive: readonly string[];
  /** Where a path really is; the path itself where that is not known. */
  resolve: (path: string) => string;
  /** Whether a namespace file is the host's own. */
  isHost: (type: string, path: string) => boolean;
}

/** A mount of one of these, of what is above it or of what is in it. */
export const hostPaths: readonly string[] = [
  "/etc",
  "/boot",
  "/dev",
  "/proc",
  "/sys",
  "/root",
  "/var/lib/docker",
  "/var/lib/containerd",
  "/run/containerd",
  "/run/systemd",
  "/run/dbus",
  "/run/docker.sock",
  "/run/buildkit",
  "/run/podman",
  "/run/crio",
  "/run/libvirt",
];

/** A container has these of its own, or its engine makes them for it. */
const harmless =
  /^\/(?:dev\/(?:null|zero|full|random|urandom|shm|pts|mqueue)|etc\/(?:localtime|timezone|ssl(?:\/.*)?|ca-certificates(?:\/.*)?|pki(?:\/.*)?))$/;
/** Those an engine gives to a container although they lie in its own folder. */
const ofEngine =
  /^\/(?:var\/lib\/docker\/(?:containers|volumes|buildkit)|var\/lib\/containers|var\/lib\/containerd|run\/containers|run\/containerd\/io\.containerd\.[\w.-]+)\/./;

/** What docker's storage drivers make for one container to have as its root: nothing else is in it. */
const ownRoot =
  /^\/var\/lib\/docker\/(?:(?:overlay2|fuse-overlayfs|overlay|btrfs\/subvolumes|vfs\/dir|zfs\/graph|rootfs\/[\w-]+)\/[\w-]+(?:\/merged)?|(?:devicemapper|aufs)\/mnt\/[\w-]+(?:\/rootfs)?)$/;

/** Each of them lets its holder leave the container, or undo what guards the machine. Not those of docker's default set. */
const capabilities: ReadonlySet<string> = new Set([
  "CAP_SYS_ADMIN",
  "CAP_SYS_MODULE",
  "CAP_SYS_PTRACE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_BOOT",
  "CAP_DAC_READ_SEARCH",
  "CAP_MAC_ADMIN",
  "CAP_BPF",
  "CAP_PERFMON",
]);
/** Of these only on the host's network: on its own a container changes nothing but its own. */
const ofNetwork: ReadonlySet<string> = new Set(["CAP_NET_ADMIN", "CAP_NET_RAW"]);
/** All there are, nearly: kernels differ in the latest. */
const allCapabilities = 36;

const most = 64;

/** What an OCI runtime's configuration gives away. */
export function dangersOfBundle(config: unknown, around: Surroundings): ContainerDanger[] {
  const found = new Found();
  const linux = object(object(config)["linux"]);
  const namespaces = new Map(
    list(linux["namespaces"]).map((each) => [text(object(each)["type"]), text(object(each)["path"])]),
  );
  const isOwn = (type: string) => namespaces.has(type) && !isHosts(type, namespaces.get(type)!, around);
  for (const type of ["pid", "network", "ipc"]) if (!isOwn(type)) found.add("namespace", type);
  const caps = object(object(object(config)["process"])["capabilities"]);
  const held = new Set(["bounding", "effective", "permitted"].flatMap((set) => list(caps[set]).map(text)));
  // Root of a user namespace of its own is not the host's.
  const isMapped = isOwn("user") && !list(linux["uidMappings"]).some((each) => object(each)["hostID"] === 0);
  if (!isMapped) {
    for (const each of held)
      if (capabilities.has(each) || (ofNetwork.has(each) && each === "CAP_NET_ADMIN" && !isOwn("network")))
        found.add("capability", each);
  }
  const anyDevice = list(object(linux["resources"])["devices"]).some((rule) => {
    const { allow, type, major, access } = object(rule);
    const all =
      (type === undefined || type === "" || type === "a") && (major === undefined || major === null || major === -1);
    return allow === true && all && /w/.test(text(access) || "rwm");
  });
  if (held.size >= allCapabilities && !isMapped && anyDevice && list(linux["maskedPaths"]).length === 0)
    found.add("privileged", "");
  for (const each of list(linux["devices"])) {
    const { path, type } = object(each);
    if (type === "b" || /^\/dev\/(?:k?mem|port|mapper\/.*)$/.test(text(path))) found.add("device", text(path));
  }
  const root = text(object(object(config)["root"])["path"]);
  if (!ownRoot.test(around.resolve(root))) found.mount(root, around);
  for (const each of list(object(config)["mounts"])) {
    const { source, options, type } = object(each);
    const isBind = text(type) === "bind" || list(options).some((option) => option === "bind" || option === "rbind");
    if (isBind) found.mount(text(source), around);
  }
  return found.list;
}

/** What docker's `hostconfig.json` of a container gives away. */
export function dangersOfHostConfig(config: unknown, around: Surroundings): ContainerDanger[] {
  const found = new Found();
  const host = object(config);
  if (host["Privileged"] === true) found.add("privileged", "");
  for (const [member, type] of Object.entries({ PidMode: "pid", NetworkMode: "network", IpcMode: "ipc" }))
    if (host[member] === "host") found.add("namespace", type);
  const added = list(host["CapAdd"]).map((each) => capabilityOf(text(each)));
  for (const each of added) found.capability(each, host["NetworkMode"] === "host");
  for (const each of list(host["Devices"])) found.device(text(object(each)["PathOnHost"]));
  for (const each of list(host["Binds"])) found.mount(text(each).split(":")[0]!, around);
  for (const each of list(host["Mounts"]))
    if (object(each)["Type"] === "bind") found.mount(text(object(each)["Source"]), around);
  return found.list;
}

/** What a command line of docker, podman or nerdctl asks for; [] where it makes no container. */
export function dangersOfCommand(args: readonly string[], around: Surroundings): ContainerDanger[] {
  const found = new Found();
  if (!args.slice(1).some((each) => each === "run" || each === "create" || each === "exec")) return [];
  for (let i = 1; i < args.length; i++) {
    const [option, inline] = splitOption(args[i]!);
    const value = inline ?? args[i + 1] ?? "";
    if (option === "--privileged" && inline !== "false") found.add("privileged", "");
    else if (["--pid", "--network", "--net", "--ipc"].includes(option) && value === "host")
      found.add("namespace", option === "--net" ? "network" : option.slice(2));
    else if (option === "--cap-add") found.capability(capabilityOf(value), false);
    else if (option === "--device") found.device(value.split(":")[0]!);
    else if (option === "-v" || option === "--volume") found.mount(value.split(":")[0]!, around);
    else if (option === "--mount" && /(?:^|,)type=bind(?:,|$)/.test(value))
      found.mount(/(?:^|,)(?:source|src)=([^,]*)/.exec(value)?.[1] ?? "", around);
  }
  return found.list;
}

class Found {
  readonly list: ContainerDanger[] = [];

  add(kind: ContainerDanger["kind"], what: string): void {
    if (this.list.length >= most || this.list.some((each) => each.kind === kind && each.what === what)) return;
    this.list.push({ kind, what: what.slice(0, 256) });
  }

  capability(name: string, hostNetwork: boolean): void {
    if (name === "CAP_ALL") this.add("privileged", "");
    else if (capabilities.has(name) || (hostNetwork && name === "CAP_NET_ADMIN")) this.add("capability", name);
  }

  device(path: string): void {
    if (/^\/dev\/(?:[hsv]d[a-z]|xvd|nvme|dm-|loop|mapper|k?mem|port)/.test(path)) this.add("device", path);
  }

  mount(source: string, { sensitive, resolve }: Surroundings): void {
    if (!source.startsWith("/")) return;
    const path = resolve(source)
      .replace(/(?<=.)\/+$/, "")
      .replace(/^\/var\/run(?=\/|$)/, "/run");
    if (harmless.test(path) || ofEngine.test(path)) return;
    const touches = (each: string) =>
      path === "/" || path === each || each.startsWith(`${path}/`) || path.startsWith(`${each}/`);
    if (hostPaths.some(touches) || sensitive.some(touches)) this.add("mount", path);
  }
}

function isHosts(type: string, path: string, { isHost }: Surroundings): boolean {
  return path !== "" && isHost(type, path);
}

function splitOption(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return arg.startsWith("--") && at > 0 ? [arg.slice(0, at), arg.slice(at + 1)] : [arg, undefined];
}

function capabilityOf(name: string): string {
  const upper = name.toUpperCase();
  return upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value.slice(0, 1_000) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
