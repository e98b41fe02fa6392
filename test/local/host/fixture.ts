// The app of these tests: what a host loads.
import './fixture-orchestrations.ts'
import './fixture-triggers.ts'
