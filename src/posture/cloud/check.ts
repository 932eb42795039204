/**
 * The cloud around runners, judged from files alone: what roles may do and who may become them (RG-17, RG-18), where the runners'
 * subnet leads (RG-19), what machines' metadata gives away (RG-20). Files are told apart by what is in them, so a Terraform plan may
 * come under any name. Nothing is asked of AWS, and nothing is thrown for what a file holds.
 */
import { isCidrDefect, parseCidr } from "../../address/cidr.ts";
import type { Evidence } from "../../cloud/evidence.ts";
import { bounded, isTrouble, linesOf, readJson } from "../../cloud/json.ts";
import type { JsonFile, Trouble } from "../../cloud/json.ts";
import { isPlan, Plan } from "../../cloud/plan.ts";
import { auditIam } from "../../iam/audit.ts";
import type { IamAudit } from "../../iam/audit.ts";
import type { Catalogue } from "../../iam/catalogue.ts";
import { addPlan } from "../../network/planned.ts";
import { auditNetwork } from "../../network/audit.ts";
import type { SubnetAudit } from "../../network/audit.ts";
import { readDescribed } from "../../network/described.ts";
import type { RuleId } from "../catalogue.ts";
import type { IamCheck } from "../../iam/finding.ts";
import type { NetworkCheck } from "../../network/finding.ts";
import { compareFindings, finding, oneLine } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { ruleOfIam } from "./iam-checks.ts";
import { ruleOfNetwork } from "./network-checks.ts";

type CloudEvidence = Evidence<IamCheck | NetworkCheck>;

/** A file as somebody gave it: its name for findings, and its text. */
export interface CloudFile {
  readonly file: string;
  readonly text: string;
}

export interface CloudInput {
  /** Answers of `aws iam get-account-authorization-details`, or policy documents. */
  readonly iam: readonly CloudFile[];
  /** Answers of `aws ec2 describe-*`. */
  readonly network: readonly CloudFile[];
  /** `terraform show -json`. */
  readonly plan: readonly CloudFile[];
  /** Ids, addresses or names of the runners' subnets; empty: where machines stand. */
  readonly subnets: readonly string[];
  /** Names or ARNs of roles to judge; empty: those that CI can get. */
  readonly roles: readonly string[];
  /** Service and resource control policies over the runners' account. */
  readonly controls: readonly CloudFile[];
  /** Accounts that roles may trust. */
  readonly accounts: readonly string[];
  /** Hosts of own GitHub Enterprise Servers, whose jobs roles may trust. */
  readonly servers: readonly string[];
  /** Ids or addresses of firewalls: an interface, an instance, a transit gateway behind which one stands. */
  readonly firewalls: readonly string[];
  /** Prefixes of own networks that runners may reach, by a review. */
  readonly destinations: readonly string[];
  /** All of AWS's actions; null: how wide permissions are is not judged. */
  readonly catalogue: Catalogue | null;
}

export interface CloudResult {
  /** Worst first. */
  readonly findings: Finding[];
  /** For pictures. */
  readonly subnets: readonly SubnetAudit[];
  /** Roles and users that were left out because CI cannot get them. */
  readonly leftOut: number;
  /** How many were judged, and by how many resources' policies. */
  readonly roles: number;
  readonly resources: number;
  /** Control policies of plans: how many there are, and how many limit a role that was judged. */
  readonly controls: IamAudit["controls"];
}

/** Judges all files together. */
export function checkCloud(input: CloudInput): CloudResult {
  const troubles: Trouble[] = [];
  const texts = new Map<string, string>();
  const read = (files: readonly CloudFile[]): JsonFile[] =>
    files.flatMap(({ file, text }) => {
      const json = readJson(file, text);
      if (isTrouble(json)) {
        troubles.push(json);
        return [];
      }
      texts.set(file, json.text);
      return [json];
    });
  const [iam, network, given] = [read(input.iam), read(input.network), read(input.plan)];
  const plans = [
    ...new Map(
      [...iam, ...network, ...given].filter(({ value }) => isPlan(value)).map((each) => [each.file, each]),
    ).values(),
  ].map((each) => new Plan(each));
  for (const { file, value } of given)
    if (!isPlan(value))
      troubles.push({
        file,
        pointer: "",
        message: "is no Terraform plan",
        fix: "Give the output of terraform show -json PLAN.",
      });
  const destinations = input.destinations.flatMap((text) => {
    const cidr = parseCidr(text);
    return isCidrDefect(cidr) ? [] : [cidr];
  });
  const evidence: { rule: RuleId; each: CloudEvidence }[] = [];
  const controls = read(input.controls);
  const roles = auditIam(
    iam.filter(({ value }) => !isPlan(value)),
    plans,
    { ...input, controls, hasUnreadControls: controls.length < input.controls.length },
  );
  for (const each of roles.evidence) evidence.push({ rule: ruleOfIam[each.check], each });
  let subnets: readonly SubnetAudit[] = [];
  const described = network.filter(({ value }) => !isPlan(value));
  if (described.length > 0 || plans.length > 0 || input.subnets.length > 0) {
    const model = readDescribed(described);
    const planned = plans.flatMap((plan) => addPlan(model.network, plan));
    const judged = auditNetwork(model.network, [...model.troubles, ...planned], input.subnets, {
      firewalls: input.firewalls,
      destinations,
    });
    for (const each of judged.evidence) evidence.push({ rule: ruleOfNetwork[each.check], each });
    subnets = judged.subnets;
  }
  // Files that hold neither a role nor a network: that nothing was found in them is no sign that nothing is wrong.
  if (evidence.length === 0)
    for (const { file } of [...iam, ...network, ...given])
      troubles.push({
        file,
        pointer: "",
        message: "has no role and no network to judge",
        fix: "Give the file that has the runners' subnet or role.",
      });
  for (const { file, pointer, message, fix } of bounded(troubles)) {
    const rule = input.network.some((each) => each.file === file) ? "RG-19" : "RG-17";
    evidence.push({
      rule,
      each: {
        check: "unreadable",
        outcome: "unknown",
        severity: "high",
        subject: file,
        message,
        fix,
        place: { file, pointer },
      },
    });
  }
  return {
    findings: findingsOf(evidence, texts),
    subnets,
    leftOut: roles.leftOut,
    roles: roles.judged.length,
    resources: roles.resources,
    controls: roles.controls,
  };
}

function findingsOf(
  evidence: readonly { rule: RuleId; each: CloudEvidence }[],
  texts: ReadonlyMap<string, string>,
): Finding[] {
  const pointers = Map.groupBy(evidence, ({ each }) => each.place.file);
  const lines = new Map(
    [...pointers].map(([file, list]) => {
      const text = texts.get(file) ?? "";
      // One long line, as `jq -c` and `terraform show -json` write: a line number says nothing.
      if (!text.trimEnd().includes("\n")) return [file, new Map<string, number>()] as const;
      return [
        file,
        linesOf(
          text,
          list.map(({ each }) => each.place.pointer),
        ),
      ] as const;
    }),
  );
  const found = evidence.map(({ rule, each }) => {
    const { check, outcome, severity, message, fix, place, about } = each;
    const subject = about === undefined ? each.subject : `${each.subject}: ${about}`;
    const line = lines.get(place.file)?.get(place.pointer) ?? null;
    const where = {
      kind: "file" as const,
      path: place.file,
      line,
      column: null,
      part: place.pointer === "" ? null : place.pointer,
    };
    const seen = message === "" ? check : message;
    return finding({ rule, check, status: outcome, subject, seen, where, severity, ...(fix === "" ? {} : { fix }) });
  });
  return joined(found.toSorted(compareFindings));
}

/** One finding for each id: the worst, with what the others saw. `found` is worst first. */
function joined(found: readonly Finding[]): Finding[] {
  return [...Map.groupBy(found, ({ id }) => id).values()].map(([worst, ...others]) => {
    const seen = [...new Set(others.map((each) => each.seen))].filter((each) => each !== worst!.seen);
    return seen.length === 0 ? worst! : { ...worst!, seen: oneLine([worst!.seen, ...seen].join("; also: "), 600) };
  });
}
