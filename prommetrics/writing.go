package prommetrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

const (
	goesUp      = prometheus.CounterValue
	upAndDown   = prometheus.GaugeValue
	whenUnknown = 0 // of a time: never
)

// writing is there for replicas that were opened to write.
var writing = []family{
	writes("writer_pending_commits", "Commits that are not in the bucket yet.", upAndDown, func(w *litefss3.WriterStatus) float64 { return float64(w.Pending) }),
	writes("writer_pending_bytes", "Bytes of the commit log that are not in the bucket yet.", upAndDown,
		func(w *litefss3.WriterStatus) float64 { return float64(w.PendingSize) }),
	writes("writer_durable_txid", "The newest transaction that is confirmed in the bucket.", upAndDown,
		func(w *litefss3.WriterStatus) float64 { return txid(w.DurableTXID) }),
	writes("writer_commits_total", "Commits that returned.", goesUp, func(w *litefss3.WriterStatus) float64 { return float64(w.Commits) }),
	writes("writer_uploads_total", "Files that are confirmed in the bucket.", goesUp, func(w *litefss3.WriterStatus) float64 { return float64(w.Uploads) }),
	writes("writer_upload_bytes_total", "Bytes of those.", goesUp, func(w *litefss3.WriterStatus) float64 { return float64(w.UploadBytes) }),
	writes("writer_upload_failures_total", "Tries to upload that failed. They are made again.", goesUp,
		func(w *litefss3.WriterStatus) float64 { return float64(w.Failed) }),
	writes("writer_upload_failing", "1 when the last upload failed.", upAndDown, func(w *litefss3.WriterStatus) float64 { return oneIf(w.Upload != "") }),
	writes("writer_last_upload_timestamp_seconds", "When the last file was confirmed in the bucket; 0 when none was since the replica was opened.", upAndDown,
		func(w *litefss3.WriterStatus) float64 {
			if w.LastUpload == nil {
				return whenUnknown
			}
			return unix(*w.LastUpload)
		}),
	writes("writer_conflict", "1 when another writer was first and this one has stopped for good. What it had not uploaded is set aside.", upAndDown,
		func(w *litefss3.WriterStatus) float64 { return oneIf(w.Conflict) }),
	writes("lease_held", "1 while this process is the writer.", upAndDown, func(w *litefss3.WriterStatus) float64 { return oneIf(w.Writer) }),
	writes("lease_generation", "How often the lease was taken, over all processes; 0 while this one does not have it.", upAndDown,
		func(w *litefss3.WriterStatus) float64 { return float64(w.Generation) }),
	writes("lease_deadline_timestamp_seconds", "Until when this process is the writer unless the lease is renewed; 0 when it is not.", upAndDown,
		func(w *litefss3.WriterStatus) float64 {
			if w.Lease == nil {
				return whenUnknown
			}
			return unix(*w.Lease)
		}),
}

func writes(name, help string, kind prometheus.ValueType, read func(*litefss3.WriterStatus) float64) family {
	return family{describe(name, help), kind, func(s *sample, emit emit) {
		if s.Writer != nil {
			emit(read(s.Writer))
		}
	}}
}

// compaction is there once this process has compacted, or tried to.
var compaction = []family{
	compacts("compaction_runs_total", "Looks at what is to be compacted, and doing it.", goesUp, func(c *litefss3.CompactionStatus) float64 { return float64(c.Runs) }),
	compacts("compaction_failures_total", "Those that did not end well. A file that does not verify is one reason.", goesUp,
		func(c *litefss3.CompactionStatus) float64 { return float64(c.Failures) }),
	compacts("compaction_files_made_total", "Files that were made, read back and found sound.", goesUp,
		func(c *litefss3.CompactionStatus) float64 { return float64(c.Made) }),
	compacts("compaction_files_deleted_total", "Files that nobody needed any more.", goesUp,
		func(c *litefss3.CompactionStatus) float64 { return float64(c.Deleted) }),
	compacts("compaction_last_success_timestamp_seconds", "End of the last run that went well; 0 when there was none.", upAndDown,
		func(c *litefss3.CompactionStatus) float64 {
			if c.LastGood.IsZero() {
				return whenUnknown
			}
			return unix(c.LastGood)
		}),
	{describe("level_newest_timestamp_seconds", "When the store got the newest file of a level, as of the last run. Level 9 are snapshots.", "level"), upAndDown,
		levels(func(l litefss3.LevelStatus, emit func(float64)) {
			if l.Newest != nil {
				emit(unix(*l.Newest))
			}
		})},
	{describe("level_waiting_timestamp_seconds", "When the store got the oldest file that is still to be merged into a level, as of the last run. Absent when none is.", "level"), upAndDown,
		levels(func(l litefss3.LevelStatus, emit func(float64)) {
			if l.Waiting != nil {
				emit(unix(*l.Waiting))
			}
		})},
}

func compacts(name, help string, kind prometheus.ValueType, read func(*litefss3.CompactionStatus) float64) family {
	return family{describe(name, help), kind, func(s *sample, emit emit) {
		if s.Compacts != nil {
			emit(read(s.Compacts))
		}
	}}
}

// levels reads one number of each level.
func levels(read func(l litefss3.LevelStatus, emit func(float64))) func(*sample, emit) {
	return func(s *sample, emit emit) {
		if s.Compacts == nil {
			return
		}
		for _, l := range s.Compacts.Levels {
			read(l, func(value float64) { emit(value, strconv.Itoa(l.Level)) })
		}
	}
}
