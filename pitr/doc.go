// Package pitr answers point-in-time questions: which state of the replica is the one a person asks for?
//
// That takes two steps. First what the person writes becomes an instant:
//
//	target, err := pitr.Parse("yesterday 14:00", time.Now())
//	// target is "latest" or an instant, here 2026-11-20T13:00:00Z in Berlin
//
// Then the instant, or a TXID the person names directly, becomes a TXID boundary of the replica: the last transaction
// at or before it. A boundary is the end of a range that an LTX file holds. Say the replica holds
//
//	L0  5-5   14:00:01
//	L0  6-6   14:00:02
//	L0  7-7   14:00:09
//
// then 14:00:05 means TXID 6. Once 5 to 7 are merged into one file and the single ones have expired, 6 cannot be
// rebuilt any more: what remains are the boundaries that the files still in the replica can end at.
//
// The truth about time is the timestamp in the LTX header, which is the writer's clock at the commit. It is never the
// object's modification time: that one tells when a file was uploaded, merged or copied to another bucket.
//
// # What Parse reads
//
//	latest                                           follow the writer
//	now                                              the instant of asking
//	2026-11-20T14:00:00Z   2026-11-20t14:00:00.5+0200  RFC 3339, T or space, any case, seconds optional
//	2026-11-20 14:00   2026-11-20                    SQLite's time strings; a day alone is its start
//	1700000000   @1700000000.5   1700000000123       Unix seconds; any number after @; milliseconds
//	5 minutes ago   1 day 3 hours ago   an hour ago  units are ms, s, m, h, d, w and their names
//	-90s   1h30m   90 seconds                        ago, too
//	yesterday   yesterday at 2:15 pm   today 09:30   the calendar's day, in either order with the clock time
//	3 days ago 14:00                                 the same, counted
//	14:00   2pm   noon   midnight                    today's
//	monday   monday 10:00   last monday              the most recent one; "last" is before today
//	20 Nov 2026 14:00   Nov 20                       the month by name; without a year, this year
//
// A zone may follow: Z, UTC, GMT, an offset after a clock time, or local.
//
// The rules behind it:
//
//   - A date in digits without a zone is UTC, as in SQLite. Every other phrase without a zone is read in the location
//     of now. "2026-11-20 14:00 local" and "yesterday 14:00 UTC" turn each into the other. Unlike in SQLite a clock
//     time alone is today's, not one of 2000-01-01.
//   - What is missing is taken from today, and a time still to come is an error: "14:00" in the morning is not taken
//     for yesterday's, because the likelier mistake is the zone. Only a weekday is the most recent one whose time has
//     passed, today included: "monday 10:00" on a Monday at nine is a week old.
//   - A day in "1 day ago" is 24 hours, one in "yesterday" or "1 day ago 14:00" is the calendar's. Months and years
//     have no fixed length and are refused.
//   - A number alone is Unix seconds if it has ten digits and milliseconds if it has thirteen; no number is a julian
//     day. All others are refused: 5, 2026 and 20261120 have too many readings.
//   - What has two readings is refused, and the error gives both: 02/03/2026, yesterday midnight, a clock time that
//     came twice when the clocks were set back. So is one that never came, when they were set forward. A day starts
//     at its first instant, though, even if that is not 00:00.
//   - Zones by name or abbreviation are refused: the package works where there is no zone database, as in wasm.
//   - Every error is a [*PhraseError] and suggests phrases that Parse accepts at that now. An unknown word that is
//     close to a known one names it.
//
// # Why a grammar of its own
//
// Parse decides which data somebody sees, so it must rather ask back than guess. The libraries guess, without a way
// to tell that they did. With "now" at 2026-11-21 12:00:
//
//   - markusmobius/go-dateparser v1.4.7, the best of them, reads 02/03/2026 as 3 February, "42" as 2042-11-21,
//     "12.5" as 5 December, "10" as 21 October; it moves 02:30 in a night that skips it to 03:30 and picks the second
//     of two. It returns future times without remark, and adds 7 MB to a binary of 1.6 MB.
//   - olebedev/when v1.1.0 finds a time inside other text: "banana 14:00" is 14:00, "1 day 3 hours ago" is 3 hours ago,
//     "2026-11-20 99:00" is today 11:20. RFC 3339 and durations it does not read.
//   - tj/go-naturaldate v1.3.0 drops what it does not know: "5 minuts ago" is today at 05:00, "1h30m" is tomorrow,
//     "1700000000" lies in the year 195961.
//
// Checking their answers afterwards would need the grammar that is here anyway.
package pitr
