package message

// The events of the way out are written behind each other into the memory of a batch.

// AppendSubmission appends what Encode gives for s.
func AppendSubmission(dst []byte, s *Submission) []byte {
	return s.appendFields(append(dst, recordVersion))
}

// AppendReport appends what Encode gives for r.
func AppendReport(dst []byte, r *Report) []byte {
	return r.appendFields(append(dst, recordVersion))
}
