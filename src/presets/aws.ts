/**
 * AWS endpoints by region and service, exact where AWS has exact hosts: `aws:eu-central-1:sts,ecr=123456789012,s3=my-bucket`.
 * Never `*.amazonaws.com`: anybody's bucket is in it.
 */
import { Finding } from "./finding.ts";

interface Service {
  readonly what: string;
  /** What must stand behind `=`, and its form; null: nothing. */
  readonly detail: { readonly name: string; readonly form: RegExp } | null;
  /** Host names without the partition's suffix, with the reason for each. */
  readonly hosts: (region: string, detail: string) => readonly (readonly [string, string])[];
}

const plain = (what: string, name: string): Service => ({
  what,
  detail: null,
  hosts: (region) => [[`${name}.${region}`, what]],
});

const account = { name: "an account number", form: /^\d{12}$/ };

/** Every service that is known by exact hosts. */
export const awsServices: Readonly<Record<string, Service>> = {
  sts: plain("credentials for roles, also by OIDC", "sts"),
  secretsmanager: plain("secrets", "secretsmanager"),
  ssm: plain("parameters", "ssm"),
  kms: plain("keys", "kms"),
  logs: plain("CloudWatch logs", "logs"),
  cloudformation: plain("stacks", "cloudformation"),
  ec2: plain("machines and networks", "ec2"),
  ecs: plain("container services", "ecs"),
  eks: plain("clusters (their own API servers have hosts of their own)", "eks"),
  lambda: plain("functions", "lambda"),
  dynamodb: plain("tables", "dynamodb"),
  sqs: plain("queues", "sqs"),
  sns: plain("topics", "sns"),
  s3: {
    what: "one bucket",
    detail: { name: "a bucket", form: /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/ },
    hosts: (region, bucket) => [[`${bucket}.s3.${region}`, `the bucket ${bucket}`]],
  },
  ecr: {
    what: "one account's container registry",
    detail: account,
    hosts: (region, id) => [
      [`api.ecr.${region}`, "tokens for the container registry"],
      [`${id}.dkr.ecr.${region}`, `the container registry of account ${id}`],
      [`prod-${region}-starport-layer-bucket.s3.${region}`, "the layers that the registry redirects to"],
    ],
  },
  codeartifact: {
    what: "one domain's package repositories",
    detail: {
      name: "a domain and an account number, as domain-123456789012",
      form: /^[a-z][a-z0-9-]{0,48}[a-z0-9]-\d{12}$/,
    },
    hosts: (region, domain) => [
      [`codeartifact.${region}`, "tokens for CodeArtifact"],
      [`${domain}.d.codeartifact.${region}`, `the packages of ${domain}`],
    ],
  },
};

/** Why the words behind `aws` name nothing; null where they do, and the finding has the hosts. */
export function findAws(words: string, finding: Finding): string | null {
  const [region, list, ...more] = words.split(":");
  if (!/^[a-z]{2}(?:-[a-z]+)+-[1-9]$/.test(region ?? ""))
    return `“${region}” is no region. Write aws:eu-central-1:sts.`;
  if (list === undefined || list === "" || more.length > 0)
    return `Write aws:${region}: and services: ${Object.keys(awsServices).join(", ")}.`;
  const suffix = region!.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  for (const word of list.split(",")) {
    const [name, detail = ""] = word.split(/=(.*)/s);
    const service = Object.hasOwn(awsServices, name!) ? awsServices[name!]! : null;
    if (service === null) return `there is no service “${name}”. Choose of: ${Object.keys(awsServices).join(", ")}.`;
    if (service.detail === null ? detail !== "" : !service.detail.form.test(detail)) {
      return service.detail === null
        ? `${name} takes nothing behind =.`
        : `${name} needs ${service.detail.name}: ${name}=….`;
    }
    for (const [host, why] of service.hosts(region!, detail)) finding.host(`${host}.${suffix}`, 443, "tls", why);
  }
  return null;
}
