"""The loop carries out steps, keeps the journal and writes status; the only place with scheduling.

It decides nothing: what to do next is `core.step.next_step`. It holds no key and no runtime that can change a target;
those are behind the ports `Official` and `Mechanic`.
"""
