import type { Mutation } from './mutations.ts'

/**
 * Each promise of checkpoints broken in its own code, and the test that notices: a step that is skipped looks right for as long as nothing happens.
 */
const epochLog = 'runtime/checkpoint/storage/epoch-log.ts'
const epochTests = 'runtime/checkpoint/storage/epoch-log.test.ts'
const core = 'runtime/checkpoint/coordinator-core.ts'
const coreTests = 'runtime/checkpoint/coordinator-core.test.ts'
const task = 'runtime/taskmanager/task.ts'
const simTests = 'test/sim/checkpoints.test.ts'
const killTests = 'test/sim/store-kills.test.ts'
const once = 'each result is committed once'

const publishing: readonly Mutation[] = [
  {
    what: 'publishing does not look who leads',
    file: epochLog,
    find: '    await this.checkGeneration()\n  }\n\n  private async claim(',
    replace: '  }\n\n  private async claim(',
    testFile: epochTests,
    fails: 'an old one that comes back writes nothing',
  },
  {
    what: 'publishing does not look for its objects',
    file: epochLog,
    find: '    await this.checkObjects(checkpoint.objects)\n',
    replace: '',
    testFile: epochTests,
    fails: 'a checkpoint whose object is missing or shorter is not published',
  },
  {
    what: 'publishing writes no manifest',
    file: epochLog,
    find: "    await this.writeManifest({ head: { ...checkpoint, jobId, generation, nonce: this.nonce, objectsFolder: 'shared' }, body })\n",
    replace: '',
    testFile: epochTests,
    fails: 'each restores what the one before has published last',
  },
  {
    what: 'publishing claims no epoch',
    file: epochLog,
    find: "    if ((await this.createKnown(this.epochPath(record.epoch), encodeRecord(record))) !== 'mine')\n      throw",
    replace: '    if (record.epoch < 0)\n      throw',
    testFile: epochTests,
    fails: 'each restores what the one before has published last',
  },
  {
    what: 'publishing does not look whether somebody has claimed more',
    file: epochLog,
    find: '    this.epoch = record.epoch\n    await this.checkNewest(record.epoch)\n    await this.checkGeneration()\n    this.claimUnknown = false\n',
    replace: '    this.epoch = record.epoch\n    this.claimUnknown = false\n',
    testFile: epochTests,
    fails: 'can be created again, but counts for nothing',
  },
  {
    what: 'a claim that is there is taken for the own one',
    file: epochLog,
    find: "return found !== undefined && Buffer.compare(found, bytes) === 0 ? 'mine' : 'other'",
    replace: "return found !== undefined ? 'mine' : 'other'",
    testFile: epochTests,
    fails: 'wherever the old one stood',
  },
  {
    what: 'taking over leaves no head',
    file: epochLog,
    find: "    const found = await this.createKnown(`${jobId}/head/${generation}`, encodeRecord(head))\n    if (found !== 'mine')",
    replace: "    const found = head.generation < 0 ? 'other' : 'mine'\n    if (found !== 'mine')",
    testFile: epochTests,
    fails: 'one process',
  },
  {
    what: 'clean-up removes the newest claim',
    file: epochLog,
    find: '      if (number >= epoch) continue\n',
    replace: '',
    testFile: epochTests,
    fails: 'a takeover stays the newest record when it cleans up',
  },
  {
    what: 'clean-up removes data that a kept manifest needs',
    file: epochLog,
    find: 'if (!needed.has(name) && objectCheckpointOf(name) <= newestCheckpoint)',
    replace: 'if (objectCheckpointOf(name) <= newestCheckpoint)',
    testFile: epochTests,
    fails: 'what nobody needs is removed',
  },
  {
    what: 'clean-up removes data that is being written',
    file: epochLog,
    find: 'if (!needed.has(name) && objectCheckpointOf(name) <= newestCheckpoint)',
    replace: 'if (!needed.has(name))',
    testFile: epochTests,
    fails: 'wherever the old one stood',
  },
]

const others: readonly Mutation[] = [
  {
    what: 'discarding leaves nothing that tells a sleeping JobManager that it is old',
    file: epochLog,
    find: 'if (oldHeads.length === 0) for (const path of heads)',
    replace: 'for (const path of heads)',
    testFile: epochTests,
    fails: 'slept meanwhile',
  },
  {
    what: 'discarding begins with the newest pointer',
    file: epochLog,
    find: '.sort((a, b) => numberOf(a) - numberOf(b))',
    replace: '.sort((a, b) => numberOf(b) - numberOf(a))',
    testFile: epochTests,
    fails: 'the newest pointer goes last',
  },
  {
    what: 'a manifest is read without its checksum',
    file: 'runtime/checkpoint/storage/manifest.ts',
    find: 'if (view.getUint32(bytes.length - TRAILER) !== crc32(bytes.subarray(0, bytes.length - TRAILER)))',
    replace: 'if (bytes.length < 0)',
    testFile: 'test/sim/checkpoint-faults.test.ts',
    fails: 'a manifest with a flipped bit',
  },
  {
    what: 'data is read without its checksum',
    file: 'runtime/checkpoint/task-state.ts',
    find: 'if (crc32(bytes) !== ref.crc)',
    replace: 'if (bytes.length < 0)',
    testFile: 'test/sim/checkpoint-faults.test.ts',
    fails: 'data with a flipped bit',
  },
  {
    what: 'a late acknowledgement counts',
    file: core,
    find: '|| !pending.waitsFor.has(executionId) || pending.acknowledged.has(executionId)) return\n    this.replace',
    replace: '|| pending.acknowledged.has(executionId)) return\n    this.replace',
    testFile: coreTests,
    fails: 'does not count what is late, doubled, of a stranger',
  },
  {
    what: 'one failure more is tolerated than may be',
    file: core,
    find: 'failures > this.state.options.tolerableFailures)',
    replace: 'failures > this.state.options.tolerableFailures + 1)',
    testFile: coreTests,
    fails: 'where none is tolerated, fails the job',
  },
  {
    what: 'a checkpoint is published before all have acknowledged',
    file: core,
    find: 'states.size === waitsFor.size',
    replace: 'states.size >= waitsFor.size - 1',
    testFile: coreTests,
    fails: 'published when all tasks have acknowledged',
  },
  {
    what: 'an attempt restores while the last one still publishes',
    file: 'runtime/jobmanager/checkpoint-coordinator.ts',
    find: 'const taken = this.storing.then(() => this.takeOver())',
    replace: 'const taken = this.takeOver()',
    testFile: 'runtime/jobmanager/checkpoint-coordinator.test.ts',
    fails: 'awaits what is being published',
  },
  {
    what: 'splits overtake the barrier that was asked for before them',
    file: task,
    find: 'if (this.commands.length === 0 && (this.source === undefined || this.barrier === undefined)) run()',
    replace: 'if (this.commands.length >= 0) run()',
    testFile: 'runtime/taskmanager/task.test.ts',
    fails: 'splits behind a barrier',
  },
  {
    what: 'a task that is no source takes its barrier before it has read its input',
    file: task,
    find: "if (next === undefined || (next.kind === 'barrier' && this.gate !== undefined && !this.gate.isFinished)) return",
    replace: 'if (next === undefined) return',
    testFile: 'runtime/taskmanager/task.test.ts',
    fails: 'all of its input',
  },
  {
    what: 'a task ends before the checkpoint of its last results is complete',
    file: task,
    find: 'if (!this.endsByCheckpoint) return true',
    replace: 'if (this.endsByCheckpoint || true) return true',
    testFile: simTests,
    fails: once,
  },
  {
    what: 'a task that had finished runs again',
    file: task,
    find: 'if (this.restoredFinished) this.chain.endAtOnce()\n      else this.opening = this.chain.open()',
    replace: 'this.opening = this.chain.open()',
    testFile: simTests,
    fails: once,
  },
  {
    what: 'enumerators begin anew after a restore',
    file: 'runtime/jobmanager/source-coordinators.ts',
    find: 'factory(description.options, context, restored)',
    replace: 'factory(description.options, context, undefined)',
    testFile: simTests,
    fails: once,
  },
  {
    what: 'rows behind a barrier pass while others are awaited',
    file: 'runtime/network/barrier-aligner.ts',
    find: 'this.blocked[channel] = this.exactlyOnce',
    replace: 'this.blocked[channel] = false',
    testFile: simTests,
    fails: once,
  },
  {
    what: 'the checkpoints of a job go before its result is stored',
    file: 'runtime/jobmanager/job-store.ts',
    find: 'for (const path of [`${folder}/submission`, ...others, `${folder}/result`])',
    replace: 'for (const path of [`${folder}/result`, ...others, `${folder}/submission`])',
    testFile: killTests,
    seeds: '2000',
    fails: 'killed at every call',
  },
  {
    what: 'a fenced JobManager goes on',
    file: 'runtime/jobmanager/job-master.ts',
    find: "if (error.code === 'FENCED') {",
    replace: "if (error.message === 'FENCED') {",
    testFile: 'test/sim/checkpoint-faults.test.ts',
    fails: 'is told that it is old',
  },
  {
    what: 'keyed state of other subtasks is restored as well',
    file: 'runtime/checkpoint/redistribute.ts',
    find: 'keyGroup >= startKeyGroup && keyGroup <= endKeyGroup',
    replace: 'keyGroup >= startKeyGroup',
    testFile: 'runtime/checkpoint/redistribute.test.ts',
    fails: 'every key group goes to the subtask that owns it',
  },
  {
    what: 'a due timer wakes all tasks',
    file: 'runtime/taskmanager/slot.ts',
    find: 'this.tasks.filter(task => task.nextTimerMs() <= nowMs)',
    replace: 'this.tasks',
    testFile: 'runtime/taskmanager/slot.test.ts',
    fails: 'a task whose timer is due has its turn',
  },
  {
    what: 'state of other windows is taken up',
    file: 'runtime/checkpoint/state-plan.ts',
    find: 'entry.windows !== spec.windows',
    replace: 'entry.windows === undefined',
    testFile: 'test/sim/declared-states.test.ts',
    fails: 'with other windows',
  },
  {
    what: 'a damaged job keeps the others from going on',
    file: 'runtime/jobmanager/job-store.ts',
    find: "error.code === 'CORRUPT_CHECKPOINT'",
    replace: "error.code === 'CONFLICT'",
    testFile: 'test/sim/reliability.test.ts',
    fails: 'is told of and left as it is',
  },
]

/** Steps of publishing and taking over, then the rest. */
export const checkpointMutations: readonly Mutation[] = [...publishing, ...others]
