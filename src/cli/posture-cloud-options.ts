/** What `sallyport posture` takes for the cloud around runners; judging is loaded only when it runs. */
import type { Command } from "commander";

export interface CloudFlags {
  iam?: string[];
  network?: string[];
  plan?: string[];
  scp?: string[];
  subnet?: string[];
  role?: string[];
  account?: string[];
  firewall?: string[];
  reach?: string[];
  picture?: string;
}

export function addCloudOptions(command: Command): void {
  command
    .optionsGroup("The cloud around runners (docs/posture-cloud.md):")
    .option("--iam <file...>", "aws iam get-account-authorization-details")
    .option("--scp <file...>", "control policies over the runners' account, or a plan")
    .option("--network <file...>", "answers of aws ec2 describe-*")
    .option("--plan <file...>", "Terraform plans: terraform show -json")
    .option("--subnet <id...>", "the runners' subnets; else where machines stand")
    .option("--role <name...>", "the runners' roles; else all that CI can get")
    .option("--account <id...>", "accounts that roles may trust")
    .option("--firewall <id...>", "an interface, instance or gateway with the allowlist")
    .option("--reach <cidr...>", "networks of yours that runners may reach, reviewed")
    .option("--picture <file.svg>", "draw where the subnet leads");
}
