import type { Command } from 'commander'
import { parseDuration } from '../../runtime/common/config.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { labelsOf } from './selector.ts'

/** The words of `millrace operator`, apart from what it does. */
export interface OperatorRequest {
  /** Undefined = all. */
  readonly namespaces: readonly string[] | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly image: string
  /** Undefined = as the service account of the pod. */
  readonly kube: { readonly url: string; readonly tokenFile: string | undefined; readonly caFile: string | undefined } | undefined
  /** Undefined = this one alone: nobody else may run. */
  readonly leaseNamespace: string | undefined
  readonly leaseName: string
  /** A file. */
  readonly networkPolicies: string | undefined
  readonly probes: Address
  /** Undefined = evictions are not asked about here. */
  readonly evictions: (Address & { readonly folder: string; readonly deadlineMs: number }) | undefined
}

interface Address {
  readonly host: string
  readonly port: number
}

interface Options {
  readonly namespace?: string[]
  readonly selector?: string
  readonly image: string
  readonly kubeUrl?: string
  readonly tokenFile?: string
  readonly caFile?: string
  readonly leaderElectionNamespace?: string
  readonly leaderElection: boolean
  readonly leaseName: string
  readonly networkPolicies?: string
  readonly probeAddress: string
  readonly evictions?: string
  readonly evictionAddress: string
  readonly evictionDeadline: string
}

export function addOperatorCommand(
  program: Command,
  run: (request: OperatorRequest) => Promise<number>,
  env: Readonly<Record<string, string | undefined>>,
  exit: (code: number) => void,
): void {
  program
    .command('operator')
    .description('looks after the FlinkJobs, FlinkSessions and FlinkSnapshots of a Kubernetes cluster')
    .option('-n, --namespace <namespace...>', 'only objects of these namespaces; default: all')
    .option('-l, --selector <labels>', 'only objects with these labels: key=value,...')
    .requiredOption('--image <image>', 'the runtime image of pods whose spec names none (MILLRACE_IMAGE)', env['MILLRACE_IMAGE'])
    .option('--kube-url <url>', 'the API server; default: that of the cluster whose pod this is')
    .option('--token-file <path>', 'with --kube-url: a file with the token that it is asked with')
    .option('--ca-file <path>', 'with --kube-url: the certificates that vouch for it')
    .option('--leader-election-namespace <namespace>', 'where the Lease lies; default: the namespace of the pod')
    .option('--lease-name <name>', 'of the Lease: operators that look after different namespaces must not share one', 'millrace-operator')
    .option('--no-leader-election', 'this one alone runs: two at once would write over each other until one of them sees it')
    .option('--network-policies <file>', 'makes a NetworkPolicy of each cluster, with what this file says of others (docs/security.md)')
    .option('--probe-address <address>', 'of /metrics, /healthz and /readyz', '0.0.0.0:8085')
    .option(
      '--evictions <folder>',
      'has pods of jobs evicted behind a checkpoint: answers the API server, with tls.crt, tls.key and path of this folder (docs/kubernetes.md)',
    )
    .option('--eviction-address <address>', 'with --evictions: where', '0.0.0.0:8443')
    .option('--eviction-deadline <duration>', 'with --evictions: after which a pod goes without a new checkpoint', '2 min')
    .addHelpText(
      'after',
      `
A kubeconfig is not read: in a pod its service account is used, elsewhere --kube-url, --token-file and --ca-file.

Examples:
  millrace operator --image registry.example/millrace:1.0
  millrace operator --image millrace --kube-url https://127.0.0.1:6443 --token-file token --ca-file ca.crt --leader-election-namespace default`,
    )
    .action(async (options: Options) => exit(await run(requestOf(options))))
}

function requestOf(options: Options): OperatorRequest {
  const {
    namespace,
    selector = '',
    image,
    kubeUrl,
    tokenFile,
    caFile,
    leaderElection,
    leaderElectionNamespace,
    leaseName,
    networkPolicies,
    probeAddress,
    evictions,
    evictionAddress,
    evictionDeadline,
  } = options
  if (kubeUrl === undefined && (tokenFile !== undefined || caFile !== undefined))
    throw new FlinkError('INVALID_ARGUMENT', 'options --token-file and --ca-file belong to --kube-url')
  if (kubeUrl !== undefined && leaderElection && leaderElectionNamespace === undefined)
    throw new FlinkError(
      'INVALID_ARGUMENT',
      'with --kube-url there is no namespace of a pod: name one with --leader-election-namespace, or give --no-leader-election',
    )
  return {
    namespaces: namespace,
    labels: labelsOf(selector),
    image,
    kube: kubeUrl === undefined ? undefined : { url: kubeUrl, tokenFile, caFile },
    leaseNamespace: leaderElection ? (leaderElectionNamespace ?? POD_NAMESPACE) : undefined,
    leaseName,
    networkPolicies,
    probes: addressOf('--probe-address', probeAddress),
    evictions:
      evictions === undefined
        ? undefined
        : {
            ...addressOf('--eviction-address', evictionAddress),
            folder: evictions,
            deadlineMs: durationOf('--eviction-deadline', evictionDeadline),
          },
  }
}

function durationOf(option: string, text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw new FlinkError('INVALID_ARGUMENT', `option ${option}: expected a duration such as 2 min, got ${text}`, {}, error)
  }
}

function addressOf(option: string, text: string): Address {
  const [, host, port] = /^(.*):(\d+)$/.exec(text) ?? []
  if (host === undefined || Number(port) > 65_535) throw new FlinkError('INVALID_ARGUMENT', `option ${option}: expected host:port, got ${text}`)
  return { host, port: Number(port) }
}

/** Stands for the one that the pod is in. */
export const POD_NAMESPACE = ''
