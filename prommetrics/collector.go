package prommetrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// Collector is a [prometheus.Collector] of all replicas that are open in the process when it is asked. It keeps nothing.
type Collector struct{}

var _ prometheus.Collector = Collector{}

// New returns a Collector.
func New() Collector { return Collector{} }

// Describe implements prometheus.Collector.
func (Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- databases
	for _, p := range process {
		ch <- p.desc
	}
	for _, f := range families {
		ch <- f.desc
	}
	ch <- requestSeconds
}

// Collect implements prometheus.Collector.
func (Collector) Collect(ch chan<- prometheus.Metric) {
	open := litefss3.OpenDatabases()
	ch <- constant(databases, prometheus.GaugeValue, float64(len(open)))
	taken := map[string]int{}
	for i, db := range open {
		s := &sample{Status: db.Status(), db: db}
		if i == 0 {
			s.collectProcess(ch)
		}
		s.collect(ch, label(db.Replica(), taken))
	}
}

// label is the replica's name, which no other one has: two replicas may be open with one URL.
func label(replica string, taken map[string]int) string {
	replica = strings.ToValidUTF8(replica, "�")
	taken[replica]++
	if n := taken[replica]; n > 1 {
		return fmt.Sprintf("%s#%d", replica, n)
	}
	return replica
}

// sample is one replica at one moment.
type sample struct {
	litefss3.Status
	db litefss3.OpenDatabase
}

// emit is what a family calls for each of its series. The values of labels are those after the replica.
type emit func(value float64, labels ...string)

// family is a metric with one or several series for each replica.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s *sample, emit emit)
}

// families are all of them, but for the histogram.
var families = concat(following, database, caching, hydration, writing, compaction, requests)

func concat(groups ...[]family) (all []family) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

const namespace = "litefs_s3"

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, append([]string{"replica"}, labels...), nil)
}

// gauge is a family of one series for each replica, that goes up and down.
func gauge(name, help string, read func(s *sample) float64) family {
	return family{describe(name, help), prometheus.GaugeValue, func(s *sample, emit emit) { emit(read(s)) }}
}

// counter is a family of one series for each replica, that only goes up.
func counter(name, help string, read func(s *sample) int64) family {
	return family{describe(name, help), prometheus.CounterValue, func(s *sample, emit emit) { emit(float64(read(s))) }}
}

func (s *sample) collect(ch chan<- prometheus.Metric, replica string) {
	for _, f := range families {
		f.read(s, func(value float64, labels ...string) {
			ch <- constant(f.desc, f.kind, value, append([]string{replica}, labels...)...)
		})
	}
	s.collectDurations(ch, replica)
}

// constant is a metric with a value. One that cannot be says so when it is gathered.
func constant(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
