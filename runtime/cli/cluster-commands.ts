import { type Command, Option } from 'commander'
import { addDynamicProperties, type ConnectionOptions, clientEntriesOf } from './connection-options.ts'
import { CliArgsError, type CliContext, type ProcessKind } from './context.ts'

/** `start-cluster`, `stop-cluster`, `jobmanager`, `taskmanager`: the processes of a standalone cluster. */
export function addClusterCommands(program: Command, context: CliContext, exit: (code: number) => void): void {
  addDynamicProperties(program.command('start-cluster'))
    .description('starts a JobManager and TaskManagers on this machine, in the background')
    .option('--taskmanagers <n>', 'number of TaskManager processes', '1')
    .option('--slots <m>', 'slots of each TaskManager; default: taskmanager.numberOfTaskSlots')
    .addHelpText('after', '\nExamples:\n  millrace start-cluster\n  millrace start-cluster --taskmanagers 2 --slots 4 -D rest.port=8082')
    .action(async (options: ConnectionOptions & { taskmanagers: string; slots?: string }) => {
      const clientEntries: Record<string, string> = clientEntriesOf(options)
      if (options.slots !== undefined) clientEntries['taskmanager.numberOfTaskSlots'] = String(positive('slots', options.slots))
      const taskManagers = positive('taskmanagers', options.taskmanagers)
      const configuration = context.loadConfiguration(clientEntries)
      const slots = Number(configuration.toObject()['taskmanager.numberOfTaskSlots'] ?? 1)
      const cluster = await context.cluster.start({ taskManagers, slots, clientEntries, configuration })
      for (const one of cluster.started) context.stdout(`Started ${one.kind} ${one.id} (pid ${one.pid}).`)
      context.stdout(`The cluster has ${taskManagers * slots} slots. Web address: ${cluster.webAddress}`)
    })

  program
    .command('stop-cluster')
    .description('ends the processes that start-cluster started, and waits for their end')
    .action(async () => {
      const stopped = await context.cluster.stop()
      for (const one of stopped) context.stdout(`Stopped ${one.kind} ${one.id} (pid ${one.pid}).`)
      if (stopped.length === 0) context.stdout('No cluster is running.')
    })

  for (const kind of ['jobmanager', 'taskmanager'] as const satisfies readonly ProcessKind[]) {
    addDynamicProperties(program.command(kind))
      .description(kind === 'jobmanager' ? 'runs a JobManager with its REST server, in the foreground' : 'runs a TaskManager, in the foreground')
      .option('--log-format <format>', 'pretty or json', 'pretty')
      .addOption(new Option('--end-with-stdin', 'end when stdin ends').hideHelp())
      .addOption(new Option('--record <file>', 'describe the running process in a file').hideHelp())
      .addHelpText(
        'after',
        `\nExample:\n  millrace ${kind} -D ${kind === 'jobmanager' ? 'rest.port=8082' : 'jobmanager.rpc.address=jobmanager -D taskmanager.numberOfTaskSlots=4'}`,
      )
      .action(async (options: ConnectionOptions & { logFormat: string; endWithStdin?: boolean; record?: string }) => {
        const { logFormat } = options
        if (logFormat !== 'pretty' && logFormat !== 'json')
          throw new CliArgsError(`The log format "${logFormat}" is unknown, expected pretty or json.`)
        const clientEntries = clientEntriesOf(options)
        exit(
          await context.runProcess(kind, {
            clientEntries,
            configuration: context.loadConfiguration(clientEntries),
            logFormat,
            endWithStdin: options.endWithStdin === true,
            recordPath: options.record,
          }),
        )
      })
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new CliArgsError(`The option --${name} must be a positive number: ${text}`)
  return value
}
