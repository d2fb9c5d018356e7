class Notices:
    def __init__(self, *parts: object) -> None:
        self.parts = parts
