/**
 * The rules of the runner policy: what each asks, why, what to do, and which controls its findings are evidence for. A rule that
 * passes is one piece of evidence for a control and never the control: no framework is met by an egress filter alone.
 *
 * Control texts: NIST SP 800-53 r5 and SP 800-218 (SSDF 1.1), SLSA 1.0 Build track, CIS Software Supply Chain Security Guide
 * (numbers of the GitHub benchmark 1.2.0), AICPA TSC 2017, PCI DSS 4.0.1, 45 CFR 164. PCI DSS and HIPAA hold only where the
 * runners can reach cardholder data or ePHI; the report says so wherever it names them.
 */
import type { Severity } from "./finding.ts";
import { catalogueOfPlatform } from "./catalogue-platform.ts";
import { catalogueOfEgress } from "./catalogue-egress.ts";

export interface Controls {
  readonly "nist-800-53"?: readonly string[];
  readonly ssdf?: readonly string[];
  readonly soc2?: readonly string[];
  readonly "pci-dss"?: readonly string[];
  readonly hipaa?: readonly string[];
  readonly cis?: readonly string[];
  readonly slsa?: readonly string[];
}

/** Names of the frameworks for documents, in the order of {@link Controls}. */
export const frameworks: Readonly<Record<keyof Controls, string>> = {
  "nist-800-53": "NIST SP 800-53 r5",
  ssdf: "NIST SSDF 1.1",
  soc2: "SOC 2 (TSC 2017)",
  "pci-dss": "PCI DSS 4.0.1",
  hipaa: "HIPAA 45 CFR",
  cis: "CIS GitHub 1.2.0",
  slsa: "SLSA 1.0 Build",
};

export interface Rule {
  readonly title: string;
  /** Which clause of the runner policy it belongs to. */
  readonly clause: Clause;
  readonly severity: Severity;
  readonly why: string;
  /** A real incident that went this way; null: none is known to us. */
  readonly incident: string | null;
  readonly fix: string;
  readonly controls: Controls;
}

/** The runner policy, clause by clause. */
export const clauses = {
  egress: "Every job of every workflow has the egress control, first and enforced.",
  ephemeral: "Self-hosted runners are ephemeral: one job each, destroyed after.",
  network:
    "The runner network has no route to intranets, databases or internal APIs; its only way out is the allowlist.",
  forks: "Self-hosted runners never run workflows from forks; every outside collaborator needs approval.",
  role: "The runner's role and token have the minimum.",
  allowlist: "The allowlist is documented, narrow, protected and in sync.",
  native: "Adoption of GitHub's own egress firewall is tracked.",
  assurance: "What is claimed is recorded and tested.",
} as const;
export type Clause = keyof typeof clauses;

/** Every rule by its id; ids are never given to another rule. */
export const catalogue = { ...catalogueOfPlatform, ...catalogueOfEgress } as const satisfies Record<string, Rule>;

export type RuleId = keyof typeof catalogueOfPlatform | keyof typeof catalogueOfEgress;

/** In order of their numbers. */
export const ruleIds = (Object.keys(catalogue) as RuleId[]).toSorted();
