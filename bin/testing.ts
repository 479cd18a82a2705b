/** What `import … from 'millrace/testing'` means: contracts that parts of your own must keep, as tests for any runner. */
export { type ContractTest, stateBackendContract } from '../runtime/testing/state-backend-contract.ts'
