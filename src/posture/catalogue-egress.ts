/** Rules about the egress control itself, its allowlist, its record and its tests. See `catalogue.ts` for what the fields promise. */
import type { Rule } from "./catalogue.ts";

export const catalogueOfEgress = {
  "RG-10": {
    title: "Every job has an egress control, first",
    clause: "egress",
    severity: "high",
    why: "What runs before the control, or in a job without it, may send secrets and code to any host, and nothing writes it down.",
    incident:
      "Codecov, 2021: for two months a changed script sent every job's environment to a bare address, and jobs let it.",
    fix: "sallyport workflow add --write puts the step first in every job; or run the job on a runner behind a gateway.",
    controls: {
      "nist-800-53": ["SC-7", "SC-7(5)", "AC-4"],
      ssdf: ["PO.5.1"],
      cis: ["2.2.4", "2.2.5"],
      soc2: ["CC6.6", "CC6.7"],
      "pci-dss": ["1.3.2"],
      hipaa: ["164.312(e)(1)"],
    },
  },
  "RG-11": {
    title: "The egress control enforces",
    clause: "egress",
    severity: "medium",
    why: "A control that only watches tells afterwards what was stolen.",
    incident:
      "tj-actions/changed-files, March 2025: firewalls that watched noticed the fetch of its script, and let it through.",
    fix: "Write the policy from what was seen (sallyport baseline propose) and set egress-policy: block, or mode: enforce.",
    controls: {
      "nist-800-53": ["SC-7(5)"],
      ssdf: ["PO.5.1"],
      cis: ["2.2.4"],
      soc2: ["CC6.6", "CC6.7"],
      "pci-dss": ["1.3.2"],
    },
  },
  "RG-12": {
    title: "The egress control has no known way around",
    clause: "egress",
    severity: "high",
    why: "A published bypass is the first thing that malware which expects a firewall tries.",
    incident:
      "harden-runner before 2.16.0: DNS over HTTPS and over TCP left unseen (GHSA-46g3-37rh-v698, GHSA-g699-3x6g-wm3g).",
    fix: "Pin the step to a version without known bypasses.",
    controls: {
      "nist-800-53": ["SI-2", "SC-7"],
      ssdf: ["PO.3.2"],
      cis: ["2.2.5"],
      soc2: ["CC7.1"],
      "pci-dss": ["6.3.3"],
    },
  },
  "RG-13": {
    title: "The allowlist is narrow, and every entry is justified",
    clause: "allowlist",
    severity: "medium",
    why: "A wildcard, or a host where anybody can open an account, is a way out however short the list is.",
    incident:
      "Nx, August 2025: what was stolen went into public repositories by way of api.github.com, which nobody blocks.",
    fix: "Replace wildcards by names, limit what hosts with foreign accounts can be asked for, and say reason, owner and expiry.",
    controls: {
      "nist-800-53": ["SC-7(4)", "SC-7(5)", "CM-7"],
      ssdf: ["PO.5.1"],
      soc2: ["CC6.6", "CC6.7"],
      "pci-dss": ["1.2.5", "1.2.7"],
    },
  },
  "RG-14": {
    title: "The egress policy is protected from those it binds",
    clause: "allowlist",
    severity: "high",
    why: "A policy is read from the ref that runs: who may change the file unreviewed may open any host in the same commit.",
    incident:
      "GhostAction, September 2025: attackers with a push right added workflows; a policy file would have been one more line.",
    fix: "Name an owner for the policy file in CODEOWNERS, and require code owners' review by a ruleset or branch protection.",
    controls: { "nist-800-53": ["CM-3", "CM-5", "SC-7(4)"], ssdf: ["PS.1.1"], cis: ["2.2.7"], soc2: ["CC8.1"] },
  },
  "RG-21": {
    title: "The egress record is whole and kept",
    clause: "assurance",
    severity: "medium",
    why: "Without who, what, where and when of each connection, kept long enough, an incident cannot be told from a quiet day.",
    incident:
      "Codecov, 2021: the change was found after two months; whoever had no record could not say what had left.",
    fix: "Record every connection, with its verdict and process, sign it, and keep it as long as your retention asks.",
    controls: {
      "nist-800-53": ["AU-3", "AU-9", "AU-11", "AU-12", "SI-4(4)"],
      ssdf: ["PO.3.3"],
      cis: ["2.1.3"],
      soc2: ["CC7.2"],
      "pci-dss": ["10.2.1", "10.2.2"],
      hipaa: ["164.312(b)"],
    },
  },
  "RG-22": {
    title: "Exfiltration is tested, regularly",
    clause: "assurance",
    severity: "low",
    why: "A control that was never tried against DNS, raw addresses and allowed hosts is a hope.",
    incident:
      "SANDWORM_MODE, February 2026: HTTPS first, then GitHub's API, then DNS; a test of one channel says nothing of the rest.",
    fix: "Run sallyport simulate on a schedule, from a runner like the ones that build.",
    controls: { "nist-800-53": ["SC-7(10)", "CA-7"], ssdf: ["PO.5.1"], soc2: ["CC4.1", "CC7.1"] },
  },
  "RG-24": {
    title: "All egress policies say the same",
    clause: "native",
    severity: "medium",
    why: "Two lists that drift apart are reviewed as one: what was taken out of the first stays open in the second.",
    incident: null,
    fix: "Write the others from one policy with sallyport policy export, and check for drift in CI.",
    controls: { "nist-800-53": ["CM-2", "CM-3", "SC-7(4)"], soc2: ["CC8.1"], "pci-dss": ["1.2.7"] },
  },
} as const satisfies Record<string, Rule>;
