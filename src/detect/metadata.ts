/** Addresses of services that hand out a machine's credentials to whoever asks on it (threat R6). Pure. */

/** By address, as `formatAddress` writes it; each with whose it is. */
const services: ReadonlyMap<string, string> = new Map([
  ["169.254.169.254", "the metadata service of AWS, Azure, Google Cloud and others"],
  ["fd00:ec2::254", "the metadata service of AWS"],
  ["169.254.170.2", "the credentials of an AWS container task"],
  ["169.254.170.23", "the credentials of an AWS EKS pod"],
  ["fd00:ec2::23", "the credentials of an AWS EKS pod"],
  ["168.63.129.16", "the WireServer of Azure, which knows the machine's certificates and settings"],
  ["100.100.100.200", "the metadata service of Alibaba Cloud"],
  ["192.0.0.192", "the metadata service of Oracle Cloud"],
]);

/** Whose metadata service it is; null: none. */
export function metadataService(address: string): string | null {
  return services.get(address) ?? null;
}
