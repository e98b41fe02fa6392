import './export-av-health.ts'
import './export-run.ts'
import './housekeeping.ts'
import './http.ts'
