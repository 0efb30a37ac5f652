package prommetrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// healths are the words of Status.Health.
var healths = []string{"ok", "idle", "stale", "gap", "unreachable", "corrupt", "replaced"}

var following = []family{
	{describe("health", "1 for the word that says how well the replica is followed, 0 for the others.", "health"), prometheus.GaugeValue,
		func(s *sample, emit emit) { oneOf(healths, s.Health, emit) }},
	gauge("lag_seconds", "Time since the last poll that went well; 0 while nobody reads and so nobody polls.", func(s *sample) float64 { return s.Following.Lag }),
	gauge("certain_seconds", "Time since it was last certain that no transaction had come and gone between two polls; 0 while nobody polls.",
		func(s *sample) float64 { return s.Following.Certain }),
	gauge("data_age_seconds", "Age of the newest transaction that can be read, by the writer's clock. It grows too when nobody writes.",
		func(s *sample) float64 { return s.Following.DataAge }),
	gauge("behind_transactions", "Transactions that are known to be in the bucket and cannot be read here yet.",
		func(s *sample) float64 { return float64(s.Following.Behind) }),
	gauge("txid", "The newest transaction that can be read.", func(s *sample) float64 { return txid(s.Following.TXID) }),
	counter("polls_total", "Looks for news.", func(s *sample) int64 { return s.Following.Polls }),
	counter("polls_failed_total", "Looks for news that failed.", func(s *sample) int64 { return s.Following.Failed }),
	counter("histories_replaced_total", "Times that the replica was replaced by another one under the same name.",
		func(s *sample) int64 { return int64(s.Following.Histories) }),
	counter("corrupt_reads_total", "Statements that failed because bytes of the replica are not what they should be.",
		func(s *sample) int64 { return s.Following.Corrupt }),
}

var database = []family{
	gauge("opened_timestamp_seconds", "When the replica was opened.", func(s *sample) float64 { return unix(s.db.Opened()) }),
	gauge("database_bytes", "Size of the database.", func(s *sample) float64 { return float64(s.Position.Bytes) }),
	gauge("database_files", "LTX files that the newest state is read from.", func(s *sample) float64 { return float64(s.Position.Files) }),
	gauge("page_table_bytes", "Memory of the page table.", func(s *sample) float64 { return float64(s.Position.Table) }),
}

// oneOf emits 1 for the word that holds and 0 for the others.
func oneOf(words []string, holds string, emit emit) {
	for _, w := range words {
		emit(oneIf(w == holds), w)
	}
}

// txid is a number of 16 hex digits. It is exact up to 2^53, and 0 while there is none.
func txid(text string) float64 {
	t, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return 0
	}
	return float64(t)
}

// unix is a time in seconds since 1970.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
