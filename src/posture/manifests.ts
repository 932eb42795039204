/**
 * Kubernetes manifests of runners (Actions Runner Controller) and of network policies, as facts with their places; and a quick look
 * at which files say anything of runners, so that the others are never parsed. Never throws.
 */
import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Node, YAMLMap } from "yaml";
import type { TextFile } from "./facts.ts";

const signs =
  /\bconfig\.(?:sh|cmd)\b|\bsvc\.sh\b|--jitconfig\b|enable_ephemeral_runners|actions\.github\.com\/v1|actions\.summerwind\.dev\/|^kind:\s*NetworkPolicy\s*$/m;
const apis = /actions\.github\.com\/v1|actions\.summerwind\.dev\/|^kind:\s*NetworkPolicy\s*$/m;

export function speaksOfRunners(text: string): boolean {
  return signs.test(text);
}

export interface RunnerSet {
  readonly path: string;
  readonly line: number;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | null;
  /** Null: what it says is none of what its controller documents. */
  readonly ephemeral: boolean | null;
  /** Why, in words. */
  readonly evidence: string;
  readonly hostNetwork: boolean;
  readonly labels: ReadonlyMap<string, string>;
}

export interface EgressPolicy {
  readonly path: string;
  readonly line: number;
  readonly name: string;
  readonly namespace: string | null;
  /** Null: every pod of the namespace. */
  readonly labels: ReadonlyMap<string, string> | null;
  /** It lets some traffic out to everywhere. */
  readonly isOpen: boolean;
}

export interface Manifests {
  readonly sets: readonly RunnerSet[];
  readonly policies: readonly EgressPolicy[];
  /** Files that say something of runners and are no YAML that can be read, such as templates. */
  readonly unread: readonly { readonly path: string; readonly line: number; readonly why: string }[];
}

export function manifestsOf(files: readonly TextFile[]): Manifests {
  const sets: RunnerSet[] = [];
  const policies: EgressPolicy[] = [];
  const unread: { path: string; line: number; why: string }[] = [];
  for (const { path, text } of files) {
    if (!/\.ya?ml$/.test(path) || !apis.test(text)) continue;
    const lines = new LineCounter();
    let documents;
    try {
      documents = parseAllDocuments(text, {
        lineCounter: lines,
        prettyErrors: false,
        uniqueKeys: false,
        logLevel: "silent",
      });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      unread.push({ path, line: 1, why: "it is nested too deeply" });
      continue;
    }
    for (const { contents, errors } of Array.isArray(documents) ? documents : []) {
      const lineOf = (node: unknown) => Math.max(1, lines.linePos((node as Node | null)?.range?.[0] ?? 0).line);
      if (errors[0] !== undefined) {
        const why = text.includes("{{")
          ? "it is a template; render it first (helm template)"
          : errors[0].message.split("\n")[0]!;
        unread.push({ path, line: Math.max(1, lines.linePos(errors[0].pos[0]).line), why });
        break;
      }
      if (!isMap(contents)) continue;
      const set = setOf(contents, path, lineOf(contents));
      if (set !== null) sets.push(set);
      const policy = policyOf(contents, path, lineOf(contents));
      if (policy !== null) policies.push(policy);
    }
  }
  return { sets, policies, unread };
}

const textAt = (root: YAMLMap, ...names: string[]): string | null => {
  const value: unknown = root.getIn(names);
  return typeof value === "string" ? value : null;
};

function setOf(root: YAMLMap, path: string, line: number): RunnerSet | null {
  const kind = textAt(root, "kind");
  const api = textAt(root, "apiVersion") ?? "";
  const common = {
    path,
    line,
    name: textAt(root, "metadata", "name") ?? textAt(root, "metadata", "generateName") ?? "(no name)",
    namespace: textAt(root, "metadata", "namespace"),
    hostNetwork: root.getIn(["spec", "template", "spec", "hostNetwork"]) === true,
    labels: mapAt(root, ["spec", "template", "metadata", "labels"]),
  };
  if (api.startsWith("actions.github.com/")) {
    if (kind === null || !/^(?:AutoscalingRunnerSet|EphemeralRunnerSet|EphemeralRunner)$/.test(kind)) return null;
    return { ...common, kind, ephemeral: true, evidence: `${kind}: the controller makes a runner for each job` };
  }
  if (!api.startsWith("actions.summerwind.dev/")) return null;
  if (kind === null || !/^(?:RunnerDeployment|RunnerReplicaSet|RunnerSet|Runner)$/.test(kind)) return null;
  const place = kind === "RunnerDeployment" || kind === "RunnerReplicaSet" ? ["spec", "template", "spec"] : ["spec"];
  const value: unknown = root.getIn([...place, "ephemeral"]);
  const ephemeral = value === undefined || value === true ? true : value === false ? false : null;
  const evidence =
    value === undefined ? `${kind}: ephemeral by default` : `${kind}: ephemeral: ${JSON.stringify(value)}`;
  return { ...common, kind, ephemeral, evidence };
}

function policyOf(root: YAMLMap, path: string, line: number): EgressPolicy | null {
  if (textAt(root, "kind") !== "NetworkPolicy" || textAt(root, "apiVersion") !== "networking.k8s.io/v1") return null;
  const types = root.getIn(["spec", "policyTypes"]);
  const egress = root.getIn(["spec", "egress"]);
  const isEgress = isSeq(types) ? types.items.some((each) => isScalar(each) && each.value === "Egress") : isSeq(egress);
  if (!isEgress) return null;
  const rules: unknown[] = isSeq(egress) ? egress.items : [];
  // A rule without `to`, or to the whole internet, lets out whatever its ports are.
  const isOpen = rules.some((rule) => {
    const to: unknown = isMap(rule) ? rule.get("to") : null;
    if (!isSeq(to) || to.items.length === 0) return true;
    return to.items.some((peer) => isMap(peer) && isEverywhere(peer.getIn(["ipBlock", "cidr"])));
  });
  const selector = root.getIn(["spec", "podSelector"]);
  const isAll = !isMap(selector) || selector.items.length === 0;
  const labels = isAll ? null : mapAt(root, ["spec", "podSelector", "matchLabels"]);
  const name = textAt(root, "metadata", "name") ?? "(no name)";
  return { path, line, name, namespace: textAt(root, "metadata", "namespace"), labels, isOpen };
}

function isEverywhere(cidr: unknown): boolean {
  return typeof cidr === "string" && cidr.trim().endsWith("/0");
}

function mapAt(root: YAMLMap, place: readonly string[]): Map<string, string> {
  const map: unknown = root.getIn(place);
  if (!isMap(map)) return new Map();
  return new Map(
    map.items.flatMap(({ key, value }) =>
      isScalar(key) && isScalar(value) ? [[String(key.value), String(value.value)] as const] : [],
    ),
  );
}
