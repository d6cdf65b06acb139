"""How the test half of the labelled incidents is written: builders, voices of programs, and the incidents themselves.

What lives here knows the format of a case and how Docker behaves; it must never import the product's rules, or be
written with knowledge of them.
"""
