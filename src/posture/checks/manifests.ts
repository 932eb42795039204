/** RG-01 and RG-19 from Kubernetes manifests: runner sets are ephemeral, and a network policy closes their way out. */
import type { RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { manifestsOf } from "../manifests.ts";
import type { EgressPolicy, RunnerSet } from "../manifests.ts";

export function checkManifests(repository: RepositoryFacts): Finding[] {
  const { sets, policies, unread } = manifestsOf(repository.infrastructure);
  return [
    ...unread.map(({ path, line, why }) =>
      finding({
        rule: "RG-01",
        check: "manifest",
        status: "unknown",
        subject: subjectIn(repository, path),
        seen: `no manifest that can be read: ${why}`,
        where: inFile(path, line, 1),
        fix: "Give the manifests as they are applied.",
      }),
    ),
    ...sets.flatMap((set) => checkSet(repository, set, policies)),
  ];
}

function checkSet(repository: RepositoryFacts, set: RunnerSet, policies: readonly EgressPolicy[]): Finding[] {
  const { path, line, kind, name, namespace, ephemeral, evidence, hostNetwork } = set;
  const subject = subjectIn(repository, `${path}: ${kind} ${namespace === null ? "" : `${namespace}/`}${name}`);
  const where = inFile(path, line, 1, `${kind} ${name}`);
  const status = ephemeral === null ? "unknown" : ephemeral ? "pass" : "fail";
  const network = { rule: "RG-19", check: "network-policy", subject, where } as const;
  const found = [finding({ rule: "RG-01", check: "manifest", status, subject, seen: evidence, where })];
  if (hostNetwork) {
    const fix = "Take hostNetwork out of the pod's template.";
    const seen = "hostNetwork: true: no network policy holds for its pods";
    return [...found, finding({ ...network, status: "fail", seen, fix })];
  }
  const fitting = policies.filter((policy) => policy.namespace === namespace && holdsFor(policy, set));
  const open = fitting.filter(({ isOpen }) => isOpen);
  const fix = "Write a NetworkPolicy with policyTypes: [Egress] that leaves the pods the gateway and DNS alone.";
  if (fitting.length === 0) {
    const seen = `no NetworkPolicy for egress among the manifests fits its pods; whether the cluster has one was not seen`;
    return [...found, finding({ ...network, status: "unknown", seen, fix })];
  }
  const names = (list: readonly EgressPolicy[]) =>
    list.map((each) => `${each.path}:${each.line} (${each.name})`).join(", ");
  // Policies add up: one that is open opens them all.
  const seen =
    open.length > 0
      ? `open to everywhere: ${names(open)}`
      : `egress only as ${names(fitting)} says; that the cluster enforces it was not seen`;
  return [...found, finding({ ...network, status: open.length > 0 ? "fail" : "unknown", seen, fix })];
}

function holdsFor({ labels }: EgressPolicy, set: RunnerSet): boolean {
  return labels === null || (labels.size > 0 && [...labels].every(([key, value]) => set.labels.get(key) === value));
}
